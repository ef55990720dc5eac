"""Runs of both models end with the same weights on one thread and on two, bit for bit.

usage: threads_cli_test.py PROGRAM
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
SETTINGS = ["context=128", "batch_size=8", "micro_batch_size=4", "steps=8", "warmup_tokens=1000"]


class Threads(unittest.TestCase):
    def test_do_not_matter(self):
        with tempfile.TemporaryDirectory() as folder:
            text = pathlib.Path(folder) / "text.txt"
            text.write_text("".join(f"{i} and {i * i % 97} are numbers, said the {i % 7}th man.\n" for i in range(900)))
            self.run_program(folder, "data", "tokenize", text, "--tokenizer", "byte", "--out", "tokens")
            for recipe in ("olmo2-0.5m", "olmoe-0.5m"):
                with self.subTest(recipe):
                    self.assertEqual(self.weights(folder, recipe, 1), self.weights(folder, recipe, 2))

    def weights(self, folder, recipe, threads):
        out = f"{recipe}-{threads}"
        self.run_program(folder, "train", recipe, *SETTINGS, "train_data=tokens", f"threads={threads}", "--out", out)
        (file,) = (pathlib.Path(folder) / out / "checkpoints").glob("*/model.safetensors")
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def run_program(self, folder, *arguments):
        done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=500)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
