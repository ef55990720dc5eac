"""The verbs `generate` and `convert` as a user meets them, on a model that `train` has just made.

usage: generate_cli_test.py PROGRAM
"""
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = ""


def run(folder, *arguments, code=0):
    result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, cwd=folder, timeout=300)
    result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode()
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    return result


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "text.txt").write_text("In the beginning God created the heaven and the earth. \u00e9\n" * 40)
        run(cls.folder, "data", "tokenize", "text.txt", "--tokenizer", "byte", "--out", "data")
        run(cls.folder, "train", "olmo2-0.5m", "train_data=data", "context=96", "batch_size=4", "steps=8", "lr=1e-2",
            "warmup_tokens=0", "dim=32", "num_layers=2", "ffn_dim=64", "--out", "run")
        cls.model = cls.folder / "run/checkpoints/step-00000008"

    def generate(self, *arguments, code=0, model=None):
        return run(self.folder, "generate", "--model", model or self.model, *arguments, code=code)

    def json(self, *arguments, **options):
        self.generate(*arguments, "--json", "out.json", **options)
        return json.loads((self.folder / "out.json").read_text())

    def error(self, *arguments, **options):
        message = self.generate(*arguments, code=2, **options).stderr
        self.assertEqual(message.count("\n"), 1, message)
        return message


class Generate(Case):
    def test_the_checkpoint_has_all_that_is_needed(self):
        config = json.loads((self.model / "config.json").read_text())
        self.assertEqual(config["eos_token_id"], 256)
        vocabulary = json.loads((self.model / "tokenizer.json").read_text())["model"]["vocab"]
        self.assertEqual([vocabulary["a"], vocabulary["\u0120"]], [97, 32])

    def test_text_and_json_agree(self):
        out = self.json("--prompt", "In the", "--max-tokens", 12, "--temperature", 0)
        (generation,) = out["generations"]
        printed = self.generate("--prompt", "In the", "--max-tokens", 12, "--temperature", 0).stdout
        self.assertEqual(printed, "In the" + generation["text"] + "\n")
        self.assertEqual(generation["prompt_tokens"], 6)
        self.assertIn(generation["finish"], ("length", "eos"))
        ids = [id for id in generation["tokens"] if id < 256]
        self.assertEqual(bytes(ids).decode(errors="replace"), generation["text"])

    def test_the_byte_tokenizer_by_name_is_the_same(self):
        one = self.json("--prompt", "\u00e9 In", "--max-tokens", 12)["generations"]
        self.assertEqual(self.json("--prompt", "\u00e9 In", "--max-tokens", 12, "--tokenizer", "byte")["generations"], one)

    def test_seeds_and_batches(self):
        (self.folder / "prompts.txt").write_text("In the\nAnd\n\nthe earth\r\nIn the\n")
        runs = {}
        for seed in (1, 2):
            for batch in (1, 3, 16):
                out = self.json("--prompts", "prompts.txt", "--seed", seed, "--batch", batch, "--max-tokens", 20, "--top-p", 0.9)
                runs[seed, batch] = [g["tokens"] for g in out["generations"]]
                self.assertEqual([g["prompt"] for g in out["generations"]], ["In the", "And", "the earth", "In the"])
            self.assertEqual(runs[seed, 1], runs[seed, 3])
            self.assertEqual(runs[seed, 1], runs[seed, 16])
            alone = self.json("--prompt", "And", "--seed", seed, "--max-tokens", 20, "--top-p", 0.9)["generations"]
            self.assertEqual(alone[0]["tokens"], runs[seed, 1][1])
        self.assertNotEqual(runs[1, 1], runs[2, 1])

    def test_stop_strings(self):
        whole = self.json("--prompt", "In", "--max-tokens", 40, "--seed", 3)["generations"][0]["text"]
        stops = [whole[7:9], whole[20:22]]
        out = self.json("--prompt", "In", "--max-tokens", 40, "--seed", 3, "--stop", stops[0], "--stop", stops[1])
        want = whole[:min(whole.find(stop) for stop in stops)]
        self.assertEqual(out["generations"][0]["text"], want)
        self.assertEqual(out["generations"][0]["finish"], "stop")

    def test_an_empty_prompt_begins_a_document(self):
        self.assertEqual(self.json("--prompt", "", "--max-tokens", 3)["generations"][0]["prompt_tokens"], 1)

    def test_a_terminal_gets_text_and_no_commands(self):
        leader, follower = pty.openpty()
        subprocess.run([PROGRAM, "generate", "--model", self.model, "--prompt", "a\x1b[31mb", "--max-tokens", "1"],
                       stdout=follower, check=True)
        self.assertTrue(os.read(leader, 1000).startswith(b"a?[31mb"))
        os.close(leader), os.close(follower)

    def test_text_comes_as_it_is_made_and_an_interrupt_stops_it(self):
        config = json.loads((self.model / "config.json").read_text())
        config["max_position_embeddings"] = 1 << 20
        long_one = self.folder / "long"
        shutil.copytree(self.model, long_one)
        (long_one / "config.json").write_text(json.dumps(config | {"eos_token_id": [7, 8]}))
        process = subprocess.Popen([PROGRAM, "generate", "--model", long_one, "--prompt", "In", "--max-tokens", "1000000",
                                    "--temperature", "0"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(process.stdout.read(2), b"In")
        process.stdout.read(5)
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        _, message = process.communicate(timeout=60)
        self.assertEqual((process.returncode, message.count(b"\n")), (130, 1), message)
        self.assertLess(time.monotonic() - begin, 60)

    def test_generation_config_says_what_ends_a_text(self):
        """As in transformers, which looks there first."""
        folder = self.folder / "generation"
        shutil.copytree(self.model, folder)
        arguments = ("--prompt", "In the", "--max-tokens", 30, "--temperature", 0, "--seed", 1)
        tokens = self.json(*arguments)["generations"][0]["tokens"]
        for ids in (tokens[4], [tokens[4], 300 - 44]):
            (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
            out = self.json(*arguments, model=folder)["generations"][0]
            self.assertEqual((out["tokens"], out["finish"]), (tokens[:tokens.index(tokens[4]) + 1], "eos"))
        (folder / "generation_config.json").write_text(json.dumps({"temperature": 0.5}))
        self.assertEqual(self.json(*arguments, model=folder)["generations"][0]["tokens"], tokens)
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 257}))
        self.assertIn("generation_config.json: eos_token_id", self.error(*arguments, model=folder))

    def test_a_byte_order_mark_is_no_part_of_the_first_prompt(self):
        (self.folder / "marked.txt").write_bytes(b"\xef\xbb\xbfIn the\n")
        out = self.json("--prompts", "marked.txt", "--max-tokens", 3)
        self.assertEqual(out["generations"][0]["prompt"], "In the")

    def test_numbers_as_large_as_they_go(self):
        out = self.json("--prompt", "In the", "--max-tokens", 2**63 - 1)
        self.assertIn(out["generations"][0]["finish"], ("context", "eos"))

    def test_counts_that_are_none_are_refused_in_a_short_line(self):
        for value in ("0", "-1", "x", "1.5", str(2**63)):
            message = self.error("--prompt", "x", "--max-tokens", value)
            self.assertIn("--max-tokens", message)
            self.assertLess(len(message), 200, message)

    def test_errors(self):
        self.assertIn("has 200 tokens, the model's context is 96", self.error("--prompt", "x" * 200))
        self.assertIn("--prompt", self.error())
        (self.folder / "empty.txt").write_text("\n\n")
        self.assertIn("no prompts", self.error("--prompts", "empty.txt"))
        self.assertIn("did you mean --top-k?", self.error("--prompt", "x", "--top-q", 1))
        self.assertIn("top_p", self.error("--prompt", "x", "--top-p", 0))
        self.assertIn("temperature", self.error("--prompt", "x", "--temperature", -1))
        self.assertIn("--stop", self.error("--prompt", "x", "--stop", ""))
        self.assertIn("--batch", self.error("--prompt", "x", "--batch", 1000))
        self.assertIn("config.json", self.error("--prompt", "x", model="nowhere"))
        bare = self.folder / "bare"
        shutil.copytree(self.model, bare)
        (bare / "tokenizer.json").unlink()
        self.assertIn("--tokenizer", self.error("--prompt", "x", model=bare))
        (bare / "tokenizer.json").write_text('{"model": ')
        self.assertIn("tokenizer.json", self.error("--prompt", "x", model=bare))
        config = json.loads((bare / "config.json").read_text())
        (bare / "config.json").write_text(json.dumps(config | {"eos_token_id": "x"}))
        self.assertIn("eos_token_id", self.error("--prompt", "x", "--tokenizer", "byte", model=bare))


class Convert(Case):
    def convert(self, *arguments, code=0, model=None):
        return run(self.folder, "convert", "--in", model or self.model, *arguments, code=code)

    def test_there_and_back(self):
        self.assertIn("bitwise those of the original", self.convert("--out", "seed", "--norm", "seed_norm", "--heads", 2).stdout)
        seed = self.folder / "seed"
        own = json.loads((seed / "config.json").read_text())["seednorm"]["norm"]
        self.assertEqual(set(own.values()), {"seed_norm(num_heads=2)"})
        self.assertEqual((seed / "tokenizer.json").read_bytes(), (self.model / "tokenizer.json").read_bytes())
        arguments = ("--prompt", "In the", "--max-tokens", 30)
        self.assertEqual(self.json(*arguments, model=seed)["generations"], self.json(*arguments)["generations"])
        self.convert("--out", "back", "--norm", "rms_norm", model=seed)
        self.assertEqual((self.folder / "back/model.safetensors").read_bytes(), (self.model / "model.safetensors").read_bytes())

    def test_positions(self):
        self.convert("--out", "some", "--norm", "seed_norm", "--position", "block,qk", "--json", "done.json")
        own = json.loads((self.folder / "some/config.json").read_text())["seednorm"]["norm"]
        self.assertEqual(own, {"block": "seed_norm", "qk": "seed_norm", "output": "rms_norm"})
        self.assertEqual(json.loads((self.folder / "done.json").read_text()), {"out": "some", "replaced": 8, "lossless": True})

    def test_lossy_ones_say_so(self):
        self.assertIn("outputs differ", self.convert("--out", "dyt", "--norm", "dyt").stdout)

    def test_errors(self):
        def error(*arguments):
            return self.convert(*arguments, code=2).stderr

        self.assertIn("already exists", error("--out", "data", "--norm", "seed_norm"))
        self.assertIn("seed_norm", error("--out", "new", "--norm", "seednorm"))
        self.assertIn("num_heads", error("--out", "new", "--norm", "rms_norm", "--heads", 2))
        self.assertIn("num_heads", error("--out", "new", "--norm", "seed_norm", "--heads", 5))
        self.assertIn("--position", error("--out", "new", "--norm", "seed_norm", "--position", "blocks"))
        self.assertIn("--norm", error("--out", "new"))
        self.assertFalse((self.folder / "new").exists())


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
