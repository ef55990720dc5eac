"""The verb claim, and the page that is made from its verdicts.

usage: claim_cli_test.py PROGRAM
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = ""


def run(*words):
    return subprocess.run([PROGRAM, "claim", *words], capture_output=True, text=True)


class Claim(unittest.TestCase):
    def test_list(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "claims.json"
            done = run("--list", "--json", str(file))
            self.assertEqual(done.returncode, 0, done.stderr)
            claims = json.loads(file.read_text())["claims"]
        self.assertGreaterEqual(len(claims), 14)
        for claim in claims:
            for key in ("name", "source", "statement", "verdict", "scale", "ours", "paper"):
                self.assertTrue(claim[key], (claim["name"], key))
            self.assertIn(claim["verdict"], ("holds", "fails", "undecided", "not_run"))
            self.assertIn(claim["statement"], done.stdout)
        self.assertEqual(next(c for c in claims if c["name"] == "beta-zero")["verdict"], "holds")

    def test_committed_results_are_judged(self):
        with tempfile.TemporaryDirectory() as folder:
            files = [pathlib.Path(folder) / name for name in ("a.json", "b.json")]
            self.assertEqual(run("--list", "--json", str(files[0])).returncode, 0)
            done = run("--judge", str(ROOT / "claims/results"), "--json", str(files[1]))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(files[0].read_text(), files[1].read_text())

    def test_mistakes(self):
        for words, part in [([], "--list"), (["moe-los"], "did you mean moe-loss?"),
                            (["--list", "steps=3"], "settings are for races"),
                            (["decay", "--digits", "/nowhere"], "/nowhere: the data of the claims is missing"),
                            (["--judge", "/nowhere"], "no such folder")]:
            done = run(*words)
            self.assertEqual(done.returncode, 2, (words, done.stderr))
            self.assertIn(part, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_page_agrees_with_the_data(self):
        done = subprocess.run([sys.executable, str(ROOT / "script/claims"), "page", "--check", "--program", PROGRAM],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
