"""A classifier of pictures from the command line: trained, evaluated, counted, and compared with others.

usage: classify_cli_test.py PROGRAM
"""
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

from stripes import CLASSES, write_stripes

PROGRAM = ""
SMALL = ["vit-digits", "train_data=stripes", "dim=16", "num_layers=2", "num_heads=2", "ffn_dim=32", "batch_size=16",
         "steps=6", "eval_every=3", "checkpoint_every=3", "threads=1", "norm=seed_norm(num_heads=4)", "drop_path=0.2",
         "mixup=0.8"]
CHECKPOINT = "run/checkpoints/step-00000006"


class ClassifyCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        write_stripes(cls.folder / "stripes", 64, 20)
        cls.run_program("train", *SMALL, "--out", "run")

    @classmethod
    def run_program(cls, *arguments, code=0):
        """What it wrote to stdout, or to stderr if it is to fail."""
        result = subprocess.run([PROGRAM, *arguments], cwd=cls.folder, capture_output=True, text=True, timeout=300)
        assert result.returncode == code, result.stderr
        return result.stderr if code else result.stdout

    def evaluate(self, *arguments, code=0):
        return self.run_program("eval", "--model", CHECKPOINT, "--data", "stripes", *arguments, code=code)

    def metrics(self, run):
        lines = [json.loads(line) for line in (self.folder / run / "metrics.jsonl").read_text().splitlines()]
        return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]

    def test_predictions_agree_with_the_accuracy(self):
        self.evaluate("--predictions", "predictions.jsonl", "--json", "accuracy.json")
        accuracy = json.loads((self.folder / "accuracy.json").read_text())
        lines = [json.loads(line) for line in (self.folder / "predictions.jsonl").read_text().splitlines()]
        self.assertEqual(len(lines), 20)
        self.assertEqual(len({line["file"] for line in lines}), 20)
        right = sum(max(range(CLASSES), key=line["logits"].__getitem__) == line["label"] for line in lines)
        self.assertEqual(accuracy["images"], 20)
        for i, of in enumerate(accuracy["classes"]):
            own = [line for line in lines if line["label"] == i]
            right = sum(max(range(CLASSES), key=line["logits"].__getitem__) == i for line in own)
            self.assertEqual((of["name"], of["images"]), (str(i), len(own)))
            self.assertAlmostEqual(of["acc1"], 100 * right / len(own))
        right = sum(max(range(CLASSES), key=line["logits"].__getitem__) == line["label"] for line in lines)
        self.assertAlmostEqual(accuracy["acc1"], 100 * right / 20)
        # The same as at the end of training.
        last = self.metrics("run")[-1]["metrics"]
        self.assertEqual(accuracy["acc1"], last["acc1"])
        self.assertAlmostEqual(accuracy["loss"], last["val_loss"], delta=1e-6)
        self.evaluate("--average", "--json", "average.json")
        average = json.loads((self.folder / "average.json").read_text())
        self.assertAlmostEqual(average["loss"], last["ema_val_loss"], delta=1e-6)
        self.assertIn("exists already", self.evaluate("--predictions", "predictions.jsonl", code=2))

    def test_limit(self):
        self.evaluate("--limit", "7", "--json", "limited.json")
        self.assertEqual(json.loads((self.folder / "limited.json").read_text())["images"], 7)

    def test_a_race_and_its_report(self):
        self.run_program("race", *SMALL, "--norms", "layer_norm,seed_norm(num_heads=4, dot_scale=1/d)", "--seeds", "2",
                         "--out", "race")
        results = json.loads((self.folder / "race" / "results.json").read_text())
        self.assertEqual(len(results["runs"]), 4)
        self.assertIn("acc1", {pair["metric"] for pair in results["pairs"]})
        self.assertIn("Acc@1", (self.folder / "race" / "report.html").read_text())

    def test_info(self):
        self.run_program("info", "vit-b-seednorm-no-decay", "--json", "info.json")
        info = json.loads((self.folder / "info.json").read_text())
        self.assertEqual(info["params"], 86586856)
        groups = {group["role"]: group for group in info["groups"]}
        self.assertEqual(groups["dynamic"]["params"], 2 * 19200)
        self.assertEqual([groups[role]["weight_decay"] for role in ("matrix", "dynamic", "gain", "embedding")],
                         [0.05, 0, 0, 0])

    def test_benchmark(self):
        self.run_program("bench", "train", *[s for s in SMALL if not s.startswith("train_data")], "num_classes=10",
                         "--steps", "1", "--warmup", "0")

    def logits(self, model):
        file = self.folder / "logits.jsonl"
        file.unlink(missing_ok=True)
        self.run_program("eval", "--model", model, "--data", "stripes", "--predictions", file)
        return file.read_text()

    def test_conversion_of_norms(self):
        """Of RMSNorm to SeeDNorm with the same outputs; others are refused with the reason."""
        self.run_program("train", *[s for s in SMALL if not s.startswith("norm=")], "norm=rms_norm", "norm.head=layer_norm",
                         "pool=token", "--out", "rms")
        model = "rms/checkpoints/step-00000006"
        said = self.run_program("convert", "--in", model, "--out", "seed", "--norm", "seed_norm(dot_scale=1/d)", "--heads",
                                "4", "--position", "block", "--json", "done.json")
        self.assertIn("seed: 4 norms replaced; the outputs are bitwise those of the original", said)
        self.assertEqual(json.loads((self.folder / "done.json").read_text())["replaced"], 4)
        norms = json.loads((self.folder / "seed/config.json").read_text())["seednorm"]["norms"]
        self.assertEqual(norms, {"block": "seed_norm(num_heads=4, dot_scale=1/d)", "head": "layer_norm"})
        self.assertEqual(self.logits("seed"), self.logits(model))
        self.run_program("convert", "--in", model, "--out", "average", "--average")
        self.assertNotEqual(self.logits("average"), self.logits(model))

        def error(*arguments):
            return self.run_program("convert", "--in", model, "--out", "refused", *arguments, code=2)

        self.assertIn("--norm: norm: layer_norm does not become seed_norm with the same outputs: seed_norm begins as "
                      "rms_norm, not as layer_norm", error("--norm", "seed_norm"))
        self.assertIn("--norm: norm.block: blocks.0.norm1, of width 16", error("--norm", "seed_norm(num_heads=3)"))
        self.assertIn("blocks.0.norm1: rms_norm does not become seed_norm(eps=0.1) with the same outputs",
                      error("--norm", "seed_norm(eps=0.1)", "--position", "block"))
        self.assertIn("--position: ", error("--norm", "seed_norm", "--position", "stem"))
        self.assertIn("--heads, --position: expected --norm", error("--heads", "4"))
        self.assertIn("--layout: ", error("--layout", "diffusers"))
        self.assertFalse((self.folder / "refused").exists())
        (self.folder / "full").mkdir()
        self.assertIn("full: exists already", self.run_program("convert", "--in", model, "--out", "full", code=2))

    def write_png(self, path, draw):
        """Gray pixels of 8 x 8."""
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        rows = b"".join(b"\0" + draw.randbytes(8) for _ in range(8))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) +
                         chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

    def test_damaged_pictures_among_the_measured(self):
        draw = random.Random(2)
        for i in range(24):
            self.write_png(self.folder / "whole" / "ab"[i % 2] / f"{i}.png", draw)
            self.write_png(self.folder / "some" / "ab"[i % 2] / f"{i}.png", draw)
        (self.folder / "some/a/0.png").write_bytes(b"no picture")
        data = ["train_data=whole", "valid_data=some", "batch_size=8", "steps=2", "eval_every=1", "threads=1"]
        size = ["dim=16", "num_layers=2", "num_heads=2", "ffn_dim=32", "patch_size=2"]
        for recipe in (["vit-digits", *size], ["dit-micro", "input_size=8", "sample_count=0", *size],
                       ["mae-micro", "image_size=8", "sample_count=4", "decoder_dim=16", "decoder_layers=1",
                        "decoder_heads=2", "decoder_ffn_dim=32", *size]):
            with self.subTest(recipe[0]):
                out = "some-" + recipe[0]
                self.assertIn("some/a/0.png: ", self.run_program("train", *recipe, *data, "--out", out + "-stopped", code=2))
                done = subprocess.run([PROGRAM, "train", *recipe, *data, "skip_damaged=true", "--out", out],
                                      cwd=self.folder, capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 0, done.stderr)
                left_out = "left out of the measured data: "
                named = [line for line in done.stderr.splitlines() if line.startswith(left_out)]
                self.assertIn("a/0.png", named[0])
                self.assertEqual(named[1:], [left_out + "1 that could not be read"])
                counts = [line.get("left_out", 0) for line in self.metrics(out) if "metrics" in line]
                self.assertEqual(counts, [1, 1])

    def test_damaged_pictures(self):
        draw = random.Random(1)
        for i in range(24):
            self.write_png(self.folder / "photos" / "ab"[i % 2] / f"{i}.png", draw)
            self.write_png(self.folder / "others" / "ab"[i % 2] / f"{i}.png", draw)
        (self.folder / "photos/a/torn.png").write_bytes((self.folder / "photos/a/0.png").read_bytes()[:60])
        (self.folder / "photos/b/empty.png").write_bytes(b"")
        recipe = [s for s in SMALL if not s.startswith("train_data")] + ["train_data=photos", "valid_data=others"]
        message = self.run_program("train", *recipe, "--out", "stopped", code=2)
        self.assertRegex(message.splitlines()[-1], r"(a/torn|b/empty)\.png: .*; skip_damaged=true leaves out")
        done = subprocess.run([PROGRAM, "train", *recipe, "skip_damaged=true", "--out", "went-on"], cwd=self.folder,
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        left_out = "left out of the training data: "
        named = [line for line in done.stderr.splitlines() if line.startswith(left_out)]
        self.assertEqual(len(named), 3, done.stderr)
        self.assertEqual(named.pop(), left_out + "2 that could not be read")
        counts = [line.get("left_out", 0) for line in self.metrics("went-on") if "lr" in line]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(counts[-1], 2)

        evaluate = ["eval", "--model", "went-on/checkpoints/step-00000006", "--data", "photos"]
        message = self.run_program(*evaluate, "--predictions", "none.jsonl", code=2)
        self.assertIn("a/torn.png: is a damaged PNG: ends early; --skip-damaged leaves out", message)
        self.assertEqual(list(self.folder.glob("none.jsonl*")), [])
        self.assertIn("damaged   2, not among them", self.run_program(*evaluate, "--skip-damaged"))
        done = subprocess.run([PROGRAM, *evaluate, "--skip-damaged"], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(sum(line.startswith("left out of the measured data: ") for line in done.stderr.splitlines()), 2)
        for name in "a", "b":
            (self.folder / "broken" / name).mkdir(parents=True)
            (self.folder / "broken" / name / "x.png").write_bytes(b"no picture")
        message = self.run_program("train", *recipe[:-1], "valid_data=broken", "skip_damaged=true", "--out", "nan", code=2)
        self.assertIn("broken/a/x.png: is neither JPEG nor PNG", message.splitlines()[-1])
        self.assertIn("every picture that is measured is damaged", message.splitlines()[-1])

    def test_sets_of_other_classes(self):
        draw = random.Random(1)
        for name in "aab", "abc":
            for label in name:
                self.write_png(self.folder / f"of-{name}" / label / "1.png", draw)
        recipe = [s for s in SMALL if not s.startswith("train_data")]
        message = self.run_program("train", *recipe, "train_data=of-aab", "valid_data=of-abc", "--out", "no", code=2)
        self.assertIn("valid_data: of-abc: the sets of pictures have 2 and 3 classes; expected the same", message)
        self.assertFalse((self.folder / "no").exists())

    def test_options_of_the_other_kind(self):
        self.assertIn("--tasks: ", self.evaluate("--tasks", "piqa", code=2))
        self.assertIn("no such file", self.run_program("eval", "--model", CHECKPOINT, "--data", "nowhere", code=2))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
