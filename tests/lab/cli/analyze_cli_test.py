"""The verb `seednorm analyze` as a user meets it: its numbers against those of other verbs, its tables against its JSON,
and bad input.

usage: analyze_cli_test.py PROGRAM
"""
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
SETTINGS = ["dim=32", "num_layers=2", "num_heads=2", "num_kv_heads=1", "ffn_dim=48", "context=32", "batch_size=4", "steps=12",
            "warmup_tokens=100", "lr=0.02", "threads=1", "train_data=tokens", "valid_data=tokens", "eval_every=0"]
MODELS = {"rms": ["olmo2-0.5m", "norm=rms_norm", "norm_placement=pre"],
          "seed": ["olmo2-0.5m", "norm=seed_norm(num_heads=2)"],
          "moe": ["olmoe-0.5m", "norm=seed_norm", "num_experts=4", "top_k=2"]}


def run(*arguments, cwd):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)


class Analyze(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        lines = [f"the quick brown fox {i % 7} jumps over the lazy dog {i * i}\n" for i in range(60)]
        (cls.folder / "fox.txt").write_text("".join(lines))
        (cls.folder / "other.txt").write_text("Pack my box with five dozen liquor jugs: \u00e9! " * 12)
        cls.ok("data", "tokenize", "fox.txt", "--tokenizer", "byte", "--out", "tokens")
        for name, settings in MODELS.items():
            cls.ok("train", *settings, *SETTINGS, "--out", f"run-{name}")
            shutil.move(cls.folder / f"run-{name}/checkpoints/step-00000012", cls.folder / name)

    @classmethod
    def ok(cls, *arguments):
        done = run(*arguments, cwd=cls.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def analyze(self, *arguments):
        """The models of the JSON, and the tables."""
        table = self.ok("analyze", *arguments, "--json", "out.json")
        return json.loads((self.folder / "out.json").read_text())["models"], table

    def refused(self, *arguments, verb="analyze"):
        done = run(verb, *arguments, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr.count("\n"), done.stdout), (2, 1, ""), done.stderr)
        return done.stderr

    def test_losses_are_those_of_score(self):
        models, table = self.analyze("rms", "moe", "--text", "fox.txt", "--text", "other.txt", "--scales", "1,2")
        self.assertEqual([m["model"] for m in models], ["rms", "moe"])
        for model in models:
            self.assertEqual([t["text"] for t in model["texts"]], ["fox.txt", "other.txt"])
            for text in model["texts"]:
                self.ok("score", "--model", model["model"], "--text", text["text"], "--json", "score.json")
                score = json.loads((self.folder / "score.json").read_text())
                for key, of_score in (("tokens", "tokens"), ("loss", "nll"), ("bits_per_byte", "bits_per_byte")):
                    self.assertEqual(text[key], score[of_score], key)
                scaled = {(s["what"], s["scale"]): s["loss"] for s in text["scaled"]}
                self.assertEqual(list(scaled), [("stream", 1), ("stream", 2), ("norms", 1), ("norms", 2)])
                self.assertEqual(scaled["stream", 1], text["loss"])
                self.assertEqual(scaled["norms", 1], text["loss"])
        fox = {m["model"]: {(s["what"], s["scale"]): s["loss"] for s in m["texts"][0]["scaled"]} for m in models}
        # RMSNorm undoes a scale of its input, and SeeDNorm does not.
        self.assertLess(abs(fox["rms"]["norms", 2] - fox["rms"]["norms", 1]), 1e-3)
        self.assertGreater(abs(fox["moe"]["norms", 2] - fox["moe"]["norms", 1]), 1e-3)

    def test_the_table_has_the_numbers_of_the_json(self):
        models, table = self.analyze("seed", "--text", "fox.txt", "--text", "other.txt", "--scales", "0.5,1",
                                     "--gradient-heads", "1,4", "--batch", "2")
        model = models[0]
        number = lambda value: f"{value:.4g}"
        rows = [line.split() for line in table.splitlines()]

        def has(*cells):
            self.assertTrue(any(row[:len(cells)] == list(map(str, cells)) for row in rows), cells)
        for text in model["texts"]:
            has(text["text"], text["tokens"], f"{text['loss']:.4f}", f"{text['bits_per_byte']:.4f}")
            for norm in text["norms"]:
                of = lambda d: [number(d[key]) for key in ("mean", "sd", "q01", "median", "q99")]
                has(norm["norm"], *of(norm["rms"]))
                has(norm["norm"], *of(norm["z"]), number(norm["u"]["sd"]), number(norm["saturated"]))
                self.assertEqual(norm["z"]["count"], norm["rms"]["count"] * 2)
                self.assertNotIn("by_expert", norm)
        for i, scaled in enumerate(model["texts"][0]["scaled"]):
            has(scaled["what"], number(scaled["scale"]), *[f"{t['scaled'][i]['loss']:.4f}" for t in model["texts"]])
        self.assertEqual([site["site"] for site in model["plan"]["sites"]], ["qk", "block", "output"])
        for site in model["plan"]["sites"]:
            now, planned = site["now"], site["planned"]
            has(site["site"], number(site["dynamic_share"]), now["heads"], number(now["rms_z"]), number(now["saturated"]),
                planned["heads"], number(planned["rms_z"]), number(planned["theorem_rms_z"]), number(planned["saturated"]))
            self.assertIn(site["setting"], table)
            # A setting that training accepts.
            self.ok("info", "olmo2-0.5m", *SETTINGS[:-3], "norm=seed_norm", site["setting"])
        for row in model["gradients"]:
            self.assertGreaterEqual(row["batches"], 2)
            has(row["heads"], f"{row['loss']:.4f}", *[number(row[p]["variance"]) for p in ("alpha", "beta", "gamma")])
        self.assertEqual([row["heads"] for row in model["gradients"]], [1, 4])

    def test_norms_by_expert(self):
        models, table = self.analyze("moe", "--text", "fox.txt", "--scales", "1")
        norms = {norm["norm"]: norm for norm in models[0]["texts"][0]["norms"]}
        grouped = [name for name, norm in norms.items() if "by_expert" in norm]
        self.assertEqual(sorted(grouped), ["model.layers.0.post_attention_layernorm", "model.layers.1.input_layernorm",
                                           "model.layers.1.post_attention_layernorm", "model.norm"])
        for name in grouped:
            for key in ("rms", "z"):
                groups = norms[name]["by_expert"][key]
                self.assertEqual(len(groups["groups"]), 4)
                self.assertEqual(sum(g["count"] for g in groups["groups"]), 2 * norms[name][key]["count"])
                self.assertTrue(0 <= groups["explained"] <= 1)
        self.assertIn("variance that a token's experts explain", table)

    def test_norms_without_beta_have_no_plan(self):
        models, table = self.analyze("rms", "--text", "fox.txt", "--scales", "1")
        self.assertNotIn("plan", models[0])
        self.assertNotIn("z = x . beta", table)
        self.ok("convert", "--in", "rms", "--out", "fresh", "--norm", "seed_norm")
        models, table = self.analyze("fresh", "--text", "fox.txt", "--scales", "1")
        self.assertEqual([site["norms"] for site in models[0]["plan"]["sites"]], [0, 0, 0])
        self.assertIn("beta is 0", table)

    def test_limit_and_context(self):
        models, _ = self.analyze("seed", "--text", "fox.txt", "--scales", "1", "--context", "16", "--limit", "3")
        text = models[0]["texts"][0]
        self.assertEqual(text["tokens"], 48)
        self.assertEqual({norm["rms"]["count"] % 48 for norm in text["norms"]}, {0})
        self.assertTrue(math.isfinite(text["loss"]))

    def test_bad_input(self):
        (self.folder / "one.txt").write_text("a")
        text = ["--text", "fox.txt"]
        for arguments, message in (
                (["seed"], "--text is required"),
                (["seed", "--text", "none.txt"], "none.txt"),
                (["seed", "--text", "one.txt"], "one.txt: has 1 tokens; a loss needs 2 or more"),
                (["none", *text], "none"),
                (["seed", "none", *text], "none"),
                (["seed", *text, "--scales", "1,x"], '--scales: expected positive numbers separated by commas, got "x"'),
                (["seed", *text, "--scales", "1,0"], '--scales: expected positive numbers separated by commas, got "0"'),
                (["seed", *text, "--scales", "2,2.0"], "--scales: 2.0 occurs twice"),
                (["seed", *text, "--context", "33"], "--context: the model's context is 32 tokens, got 33"),
                (["seed", *text, "--gradient-heads", "0"], "--gradient-heads: expected a whole number from 1"),
                (["seed", *text, "--gradient-heads", "2,2"], "--gradient-heads: 2 occurs twice"),
                (["seed", *text, "--gradient-heads", "3"], "3 heads do not divide the width"),
                (["seed", *text, "--gradient-heads", "2", "--limit", "2"], "two batches of 4 windows of 32 tokens"),
                (["rms", *text, "--gradient-heads", "2"], "no norm with a dot product"),
                (["seed", *text, "--dynamic-share", "0"], "--dynamic-share"),
                (["seed", *text, "--json", "none/out.json"], "there is no folder")):
            with self.subTest(arguments=arguments):
                self.assertIn(message, self.refused(*arguments))


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
