"""A DiT from the command line: trained, sampled, and compared with real pictures by a classifier's features.

usage: diffuse_cli_test.py PROGRAM
"""
import ast
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

from stripes import SIDE, write_stripes

PROGRAM = ""
DATA = ["train_data=stripes", "batch_size=16", "steps=4", "eval_every=2", "threads=1"]
DIT = ["dit-micro", *DATA, "input_size=8", "patch_size=2", "dim=16", "num_layers=2", "num_heads=2", "ffn_dim=32",
       "norm=ada_seed_norm", "sample_steps=3", "lr=1e-2", "ema_decay=0.9"]
VIT = ["vit-digits", *DATA, "dim=16", "num_layers=2", "num_heads=2", "ffn_dim=32"]
# Long enough for pictures that are not black and white alone.
TRAINED = [*DIT, "steps=100", "eval_every=100"]
MODEL, CLASSIFIER = "dit/checkpoints/step-00000100", "vit/checkpoints/step-00000004"


def npz(path):
    """Shape and bytes of arr_0, read by Python's own zip."""
    with zipfile.ZipFile(path) as archive:
        array = archive.read("arr_0.npy")
    begin = 10 + int.from_bytes(array[8:10], "little")
    header = ast.literal_eval(array[10:begin].decode())
    assert header["descr"] == "|u1" and not header["fortran_order"]
    return header["shape"], array[begin:]


class DiffuseCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        write_stripes(cls.folder / "stripes", 64, 20)
        cls.run_program("train", *VIT, "--out", "vit")
        cls.run_program("train", *TRAINED, "--out", "dit")

    @classmethod
    def run_program(cls, *arguments, code=0):
        """What it wrote to stdout, or to stderr if it is to fail."""
        result = subprocess.run([PROGRAM, *arguments], cwd=cls.folder, capture_output=True, text=True, timeout=300)
        assert result.returncode == code, result.stderr
        return result.stderr if code else result.stdout

    def sample(self, out, *arguments, code=0):
        steps = [] if "--steps" in arguments else ["--steps", "20"]
        text = self.run_program("sample", "--model", MODEL, "--threads", "1", "--out", out, *steps, *arguments, code=code)
        return text if code else npz(self.folder / out / "samples.npz")

    def pairs(self, a, b, *arguments, model=CLASSIFIER):
        self.run_program("eval", "--model", model, "--pairs", a, b, "--json", "pair.json", *arguments)
        return json.loads((self.folder / "pair.json").read_text())

    def test_samples(self):
        shape, pixels = self.sample("five", "--count", "5", "--labels", "2,0", "--json", "five.json")
        self.assertEqual(shape, (5, SIDE, SIDE, 3))
        self.assertEqual(len(pixels), 5 * SIDE * SIDE * 3)
        self.assertTrue((self.folder / "five/samples.png").read_bytes().startswith(b"\x89PNG"))
        about = json.loads((self.folder / "five.json").read_text())
        self.assertEqual((about["count"], about["labels"], about["steps"]), (5, [2, 0, 2, 0, 2], 20))
        # A picture depends on the seed and its place alone.
        _, fewer = self.sample("two", "--count", "2", "--labels", "2,0", "--batch", "1")
        self.assertEqual(fewer, pixels[:len(fewer)])
        for name, change in {"seed": ["--seed", "1"], "label": ["--labels", "1"], "guidance": ["--cfg", "1"],
                             "raw": ["--weights", "raw"], "channels": ["--cfg-channels", "0", "--cfg", "9"]}.items():
            with self.subTest(name):
                labels = [] if "--labels" in change else ["--labels", "2,0"]
                self.assertNotEqual(self.sample(name, "--count", "2", *labels, *change)[1], fewer)

    def test_mistakes_of_sampling(self):
        (self.folder / "there").mkdir()
        self.assertIn("there: exists already", self.sample("there", code=2))
        self.assertIn("--labels: expected numbers from 0 to 2", self.sample("new", "--labels", "3", code=2))
        self.assertIn("expected", self.sample("new", "--steps", "2000", code=2))
        self.assertIn("guided channels: expected 0 to the model's 3, got 4",
                      self.sample("new", "--cfg-channels", "4", code=2))
        self.assertIn("config.json", self.run_program("sample", "--model", "stripes", "--out", "new", code=2))
        self.assertIn("dit", self.run_program("sample", "--model", CLASSIFIER, "--out", "new", code=2))
        self.assertFalse((self.folder / "new").exists())

    def test_pairs(self):
        self.sample("made", "--count", "24")
        same = self.pairs("stripes", "stripes")
        self.assertEqual((same["metric"], same["images"], same["features"]), ("frechet_vit", [20, 20], 16))
        self.assertLess(same["value"], 1e-5)
        other = self.pairs("stripes", "made")
        self.assertEqual(other["images"], [20, 24])
        self.assertGreater(other["value"], 100 * same["value"])
        self.assertAlmostEqual(self.pairs("made", "stripes", "--batch", "7")["value"], other["value"], delta=1e-3)
        # The folder that `sample` makes, its .npz file, and a folder of picture files.
        self.assertEqual(self.pairs("stripes", "made/samples.npz")["value"], other["value"])
        self.assertEqual(self.pairs("stripes", "made", "--limit", "6")["images"], [6, 6])
        self.assertNotEqual(self.pairs("stripes", "made", "--average")["value"], other["value"])
        flat = self.folder / "flat"
        flat.mkdir()
        for name in "a.png", "b.png":
            (flat / name).write_bytes((self.folder / "made/samples.png").read_bytes())
        (flat / "notes.txt").write_text("no picture")
        self.assertEqual(self.pairs("flat", "made")["images"], [2, 24])

    def test_mistakes_of_pairs(self):
        def message(*arguments, model=CLASSIFIER):
            return self.run_program("eval", "--model", model, *arguments, code=2)

        self.sample("one", "--count", "1")
        self.assertIn("a covariance needs two or more", message("--pairs", "stripes", "one"))
        self.assertIn("--data: is required", message())
        self.assertIn("is a DiT; expected a language model or a classifier", message("--data", "stripes", model=MODEL))
        self.assertIn("nowhere/config.json: cannot be read", message("--data", "stripes", model="nowhere"))
        self.assertIn("--data: has no meaning with --pairs", message("--pairs", "one", "one", "--data", "stripes"))
        self.assertIn("no such", message("--pairs", "stripes", "nowhere"))
        self.assertIn("model directory of a classifier", message("--pairs", "stripes", "stripes", model="stripes"))
        (self.folder / "torn.npz").write_bytes((self.folder / "one/samples.npz").read_bytes()[:200])
        self.assertIn("torn.npz: ends early", message("--pairs", "stripes", "torn.npz"))

    def write_latents(self, folder, count):
        """A .npz file for each picture, as MAR's code caches them: float16 and float32, packed and not."""
        draw = random.Random(count)
        for label in range(2):
            for i in range(count):
                path = self.folder / folder / f"class{label}" / f"{i}.npz"
                path.parent.mkdir(parents=True, exist_ok=True)
                kind, descr = ("e", "<f2") if i % 2 else ("f", "<f4")
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if i % 3 else zipfile.ZIP_STORED) as archive:
                    for name in "moments", "moments_flip":
                        header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (8, 4, 4), }}".ljust(117) + "\n"
                        numbers = struct.pack(f"<{8 * 16}{kind}", *(draw.gauss(0, 1) for _ in range(8 * 16)))
                        archive.writestr(name + ".npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) +
                                         header.encode() + numbers)

    def test_latents(self):
        self.write_latents("latents", 5)
        self.write_latents("more", 3)
        model = [*DIT, "train_data=latents", "valid_data=more", "channels=4", "input_size=4", "batch_size=8",
                 "sample_count=0"]
        self.run_program("train", *model, "--out", "of-latents")
        self.run_program("sample", "--model", "of-latents/checkpoints/step-00000004", "--count", "3", "--steps", "3",
                         "--out", "made-latents")
        file = (self.folder / "made-latents/latents.safetensors").read_bytes()
        size = int.from_bytes(file[:8], "little")
        self.assertEqual(json.loads(file[8:8 + size])["latents"]["shape"], [3, 4, 4, 4])
        largest = max(map(abs, struct.unpack(f"<{3 * 64}f", file[8 + size:])))
        self.assertTrue(1 < largest < 1e6, largest)  # a picture's numbers are a fifth of these
        (self.folder / "latents/class1/0.npz").write_bytes(b"PK")
        self.assertIn("class1/0.npz: ends early", self.run_program("train", *model, "steps=9", "--out", "torn", code=2))

    def test_conversion_of_norms(self):
        self.run_program("train", *[s for s in DIT if not s.startswith("norm=")], "norm=rms_norm", "--out", "rms")
        model = "rms/checkpoints/step-00000004"
        self.run_program("convert", "--in", model, "--out", "converted", "--norm", "seed_norm", "--average")
        options = ["--count", "2", "--steps", "3"]
        self.run_program("sample", "--model", model, *options, "--out", "of-rms")
        self.run_program("sample", "--model", "converted", *options, "--out", "of-seed")
        self.assertEqual(*(npz(self.folder / name / "samples.npz") for name in ("of-rms", "of-seed")))
        self.assertIn("does not become layer_norm", self.run_program(
            "convert", "--in", model, "--out", "refused", "--norm", "layer_norm", code=2))

    def test_a_race_measures_the_distance(self):
        self.run_program("race", *DIT[:-4], "sample_steps=3", f"frechet_model={CLASSIFIER}", "frechet_count=6",
                         "--norms", "layer_norm,ada_seed_norm", "--seeds", "1", "--out", "race")
        results = json.loads((self.folder / "race/results.json").read_text())
        self.assertTrue(all(run["frechet_vit"] > 0 for run in results["runs"]))
        metric = next(m for m in results["metrics"] if m["name"] == "frechet_vit")
        self.assertTrue(metric["lower_is_better"])
        self.assertIn("first_batch", (self.folder / "race/report.html").read_text())
        self.assertIn("expected the model directory", self.run_program(
            "train", *DIT, "frechet_model=stripes", "--out", "refused", code=2))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
