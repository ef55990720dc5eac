"""Runs of both models end with the same weights on one thread and on two, bit for bit, and keep their products.

usage: threads_cli_test.py PROGRAM
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
SETTINGS = ["context=128", "batch_size=8", "micro_batch_size=4", "steps=8", "warmup_tokens=1000"]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        text = "".join(f"{i} and {i * i % 97} are numbers, said the {i % 7}th man.\n" for i in range(900))
        (cls.folder / "text.txt").write_text(text)
        cls.run_program("data", "tokenize", "text.txt", "--tokenizer", "byte", "--out", "tokens")

    @classmethod
    def run_program(cls, *arguments, code=0, cache="cache"):
        environment = {**os.environ, "XDG_CACHE_HOME": str(cls.folder / cache)}
        done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=cls.folder, capture_output=True, text=True, timeout=500,
                              env=environment)
        assert done.returncode == code, done.stderr
        return done.stderr

    def train(self, recipe, out, *settings, **options):
        return self.run_program("train", recipe, *SETTINGS, "train_data=tokens", *settings, "--out", out, **options)

    def weights(self, out):
        newest = sorted((self.folder / out / "checkpoints").glob("step-*"))[-1]
        return hashlib.sha256((newest / "model.safetensors").read_bytes()).hexdigest()


class Threads(Case):
    def test_do_not_matter(self):
        for recipe in "olmo2-0.5m", "olmoe-0.5m":
            with self.subTest(recipe):
                for threads in 1, 2:
                    self.train(recipe, f"{recipe}-{threads}", f"threads={threads}")
                self.assertEqual(self.weights(f"{recipe}-1"), self.weights(f"{recipe}-2"))


class Products(Case):
    """Which library computes matrix products: measured once for each kind of processor, and part of a run."""

    def choice(self, run):
        newest = sorted((self.folder / run / "checkpoints").glob("step-*"))[-1]
        return json.loads((newest / "trainer.json").read_text())["products"]

    def write_choice(self, cache, text):
        """Makes the measurement in this folder say `text`."""
        self.run_program("train", "olmo2-0.5m", *SETTINGS, "steps=1", "train_data=tokens", "--dry-run", "--out", "none", cache=cache)
        (file,) = (self.folder / cache / "seednorm").glob("products-*.txt")
        file.write_text(text + "\n")
        return file

    def test_are_measured_once(self):
        file = self.write_choice("once", "float32=onednn,bfloat16=widened")
        errors = self.train("olmo2-0.5m", "once-run", cache="once")
        kept = "forward=onednn,input_gradient=onednn,weight_gradient=onednn,bfloat16=widened"
        self.assertIn(kept, errors)
        self.assertEqual(self.choice("once-run"), kept)
        file.write_text("of another version\n")
        self.train("olmo2-0.5m", "again", cache="once")
        self.assertIn("forward=", file.read_text())

    def test_stay_those_of_the_run_when_it_is_resumed_elsewhere(self):
        self.write_choice("here", "float32=mkl")
        self.write_choice("there", "float32=onednn")
        settings = ["checkpoint_every=4"]
        self.train("olmo2-0.5m", "whole", *settings, cache="here")
        self.train("olmo2-0.5m", "moved", *settings, cache="here")
        newest = self.folder / "moved/checkpoints/step-00000008"
        newest.rename(self.folder / "away")
        errors = self.train("olmo2-0.5m", "moved", *settings, "--resume", cache="there")
        self.assertIn("and keeps them; another kind of processor", errors)
        self.assertEqual(self.weights("moved"), self.weights("whole"))
        newest.rename(self.folder / "away again")
        errors = self.train("olmo2-0.5m", "moved", *settings, "products=float32=onednn", "--resume", cache="here")
        self.assertIn("which changes last bits", errors)
        self.assertTrue(self.choice("moved").startswith("forward=onednn"))

    def test_refuse_what_is_no_library(self):
        errors = self.train("olmo2-0.5m", "refused", "products=float32=fast", code=2)
        self.assertIn('expected mkl or onednn, got "fast"', errors)
        self.assertFalse((self.folder / "refused").exists())


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
