"""The verb `seednorm train` under kill -9, signals and full disks: what is resumed ends as if nothing had happened.
And that `seednorm bench train` measures.

usage: train_cli_test.py PROGRAM
"""
import contextlib
import json
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = ""
STEPS = 24
RECIPE = ["olmo2-0.5m", "dim=32", "num_layers=2", "num_heads=2", "num_kv_heads=1", "ffn_dim=48", "context=32",
          "batch_size=4", f"steps={STEPS}", "warmup_tokens=500", "norm=seed_norm", "eval_every=5", "eval_batches=2",
          "checkpoint_every=2", "keep_checkpoints=2", "threads=1", "train_data=tokens", "valid_data=tokens"]


class TrainCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        lines = [f"the quick brown fox {i % 7} jumps over the lazy dog {i * i}\n" for i in range(400)]
        (cls.folder / "text.txt").write_text("".join(lines))
        subprocess.run([PROGRAM, "data", "tokenize", "text.txt", "--tokenizer", "byte", "--out", "tokens"], check=True,
                       capture_output=True, cwd=cls.folder)
        cls.start("whole").communicate(timeout=120)

    @classmethod
    def start(cls, run, *arguments, **options):
        return subprocess.Popen([PROGRAM, "train", *RECIPE, "--out", run, "--json", f"{run}.json", *arguments],
                                cwd=cls.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)

    def finish(self, process, code=0):
        """The last line of what it wrote."""
        errors = process.communicate(timeout=120)[1]
        self.assertEqual(process.returncode, code, errors)
        return errors.splitlines()[-1]

    def lines(self, run):
        """Of metrics.jsonl; times differ from run to run."""
        path = self.folder / run / "metrics.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        for line in lines:
            del line["seconds"]
        return lines

    def num_lines(self, run):
        path = self.folder / run / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def assert_ended_as_whole(self, run):
        self.assertEqual(self.lines(run), self.lines("whole"))
        results = [json.loads((self.folder / f"{name}.json").read_text()) for name in (run, "whole")]
        for key in ("steps", "tokens", "train_loss", "valid_loss"):
            self.assertEqual(results[0][key], results[1][key], key)
        last = f"checkpoints/step-{STEPS:08}"
        for file in ("model.safetensors", "optimizer.safetensors", "config.json"):
            self.assertEqual((self.folder / run / last / file).read_bytes(),
                             (self.folder / "whole" / last / file).read_bytes(), file)
        self.assertEqual(sorted(path.name for path in (self.folder / run / "checkpoints").iterdir()),
                         sorted(path.name for path in (self.folder / "whole/checkpoints").iterdir()))

    def wait_for(self, process, holds):
        """Whether it came to hold while the process ran."""
        deadline = time.monotonic() + 120
        while process.poll() is None:
            if holds():
                return True
            self.assertLess(time.monotonic(), deadline)
        return False


class Kill(TrainCase):
    def test_killed_at_any_moment(self):
        chance = random.Random(5)
        moments = []  # each run is killed at the first line that is not there yet, or while it writes a checkpoint
        for _ in range(5):
            moments += ["line", "checkpoint"]
        killed = 0
        for moment in moments:
            process = self.start("killed", "--resume")
            if moment == "line":
                goal = self.num_lines("killed") + chance.randint(1, 4)
                came = self.wait_for(process, lambda goal=goal: self.num_lines("killed") >= goal)
            else:
                skip = chance.randint(0, 2)  # so many of what it finds half written, so that the moment varies
                partial = (self.folder / "killed/checkpoints").glob
                seen = set()

                def is_writing(skip=skip, partial=partial, seen=seen):
                    with contextlib.suppress(FileNotFoundError):  # it is whole now, under its own name
                        for path in partial("*.partial/*"):
                            seen.add(path.name)
                    return len(seen) > skip
                came = self.wait_for(process, is_writing)
            time.sleep(chance.random() * 0.004)
            killed += came
            process.kill()
            process.communicate()
        self.assertGreater(killed, 4)
        self.finish(self.start("killed", "--resume"))
        self.assert_ended_as_whole("killed")

    def test_stopped_by_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.start("stopped", "--resume")
            goal = self.num_lines("stopped") + 3
            self.assertTrue(self.wait_for(process, lambda goal=goal: self.num_lines("stopped") >= goal))
            process.send_signal(number)
            self.assertIn("stopped; a checkpoint is saved, and --resume continues the run", self.finish(process, 130))
        self.finish(self.start("stopped", "--resume"))
        self.assert_ended_as_whole("stopped")


class Data(TrainCase):
    def test_folder_that_goes_away(self):
        """Tokens and tokenizer were opened when the run began, so it can end and save."""
        shutil.copytree(self.folder / "tokens", self.folder / "moving")
        process = self.start("away", "train_data=moving")
        self.assertTrue(self.wait_for(process, lambda: self.num_lines("away") >= 3))
        (self.folder / "moving").rename(self.folder / "moved")
        self.finish(process)
        self.assert_ended_as_whole("away")

    def test_another_tokenizer_beside_the_shards(self):
        shutil.copytree(self.folder / "tokens", self.folder / "altered")
        tokenizer = self.folder / "altered/tokenizer.json"
        tokenizer.write_text(tokenizer.read_text().replace("<|endoftext|>", "<|end|>"))
        self.assertIn("is not the tokenizer that the shards beside it were made with",
                      self.finish(self.start("altered-run", "train_data=altered"), 2))


class WithoutAFolder(TrainCase):
    def run_program(self, *arguments):
        process = subprocess.run([PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120,
                                 check=False)
        return process.returncode, process.stdout, process.stderr.splitlines()[-1]

    def test_mistakes_in_the_recipe_come_first(self):
        for verb in (["train"], ["race", "--norms", "rms_norm,seed_norm"]):
            code, _, last = self.run_program(*verb, *RECIPE, "learning_rate=1")
            self.assertEqual(code, 2)
            self.assertIn("learning_rate", last)
            code, _, last = self.run_program(*verb, *RECIPE)
            self.assertEqual(code, 2)
            self.assertEqual(last, f"seednorm: {verb[0]}: --out is required; see seednorm {verb[0]} --help")

    def test_a_dry_run_needs_none(self):
        before = sorted(self.folder.rglob("*"))
        code, out, _ = self.run_program("train", *RECIPE, "--dry-run")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^olmo2-0.5m: 1 steps, 128 tokens, loss ")
        self.assertEqual(sorted(self.folder.rglob("*")), before)

    def test_an_argument_that_is_no_option(self):
        for verb in ("generate", "eval"):
            self.assertIn('unexpected argument "surplus"', self.run_program(verb, "surplus")[2])


class FullDisk(TrainCase):
    def test_nothing_is_lost(self):
        process = self.start("full")
        self.assertTrue(self.wait_for(process, lambda: self.num_lines("full") >= 5))
        process.send_signal(signal.SIGTERM)
        self.finish(process, 130)
        size = (self.folder / "whole" / f"checkpoints/step-{STEPS:08}" / "model.safetensors").stat().st_size

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        last = self.finish(self.start("full", "--resume", preexec_fn=limit), 1)
        self.assertRegex(last, r"^seednorm: cannot write .*model.safetensors")
        self.finish(self.start("full", "--resume"))
        self.assert_ended_as_whole("full")


class Bench(unittest.TestCase):
    SMALL = ["olmo2-0.5m", "dim=32", "num_layers=1", "num_heads=2", "num_kv_heads=1", "ffn_dim=48", "context=16",
             "batch_size=2", "vocab_size=50", "threads=1"]

    def bench(self, *arguments, **options):
        return subprocess.run([PROGRAM, "bench", "train", *self.SMALL, *arguments], capture_output=True, text=True,
                              timeout=120, check=True, **options).stdout

    def test_norms_in_turns(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "result.json"
            self.bench("--norms", "rms_norm,seed_norm", "--steps", "2", "--warmup", "0", "--json", file)
            result = json.loads(file.read_text())
        self.assertEqual([row["norm"] for row in result["results"]], ["rms_norm", "seed_norm"])
        for row in result["results"]:
            self.assertEqual(len(row["step_s"]), 2)
            self.assertGreater(row["tokens_per_s"], 0)
        self.assertEqual(result["tokens_per_step"], 32)
        self.assertGreater(result["peak_memory_bytes"], 0)

    def test_a_step_for_each_line(self):
        lines = self.bench("--turns", "--steps", "1", "--warmup", "0", input="\n\n").splitlines()
        self.assertEqual(json.loads(lines[0])["config"]["hidden_size"], 32)
        self.assertGreater(json.loads(lines[0])["params"], 0)
        for line in lines[1:3]:
            self.assertEqual(len(json.loads(line)["recipe"]), 1)
        self.assertNotEqual(lines[3][0], "{")


class Events(TrainCase):
    def test_tensorboard_reads_them(self):
        try:
            from tensorboard.backend.event_processing import event_accumulator
        except ImportError:
            self.skipTest("the Python package tensorboard is not installed")
        process = self.start("seen")
        self.assertTrue(self.wait_for(process, lambda: self.num_lines("seen") >= 8))
        process.kill()
        process.communicate()
        self.finish(self.start("seen", "--resume"))
        reader = event_accumulator.EventAccumulator(str(self.folder / "seen"), {"scalars": 0})
        reader.Reload()
        lines = self.lines("seen")
        for tag, values in {
            "train/loss": {line["step"]: line["loss"] for line in lines if "loss" in line},
            "train/lr": {line["step"]: line["lr"] for line in lines if "lr" in line},
            "valid/tokens": {line["step"]: line["valid"]["tokens"] for line in lines if "valid" in line},
            "model.norm/saturated": {line["step"]: line["norms"]["model.norm"]["saturated"] for line in lines
                                     if "norms" in line},
        }.items():
            events = reader.Scalars(tag)
            self.assertEqual([event.step for event in events], list(values), tag)
            for event in events:
                self.assertAlmostEqual(event.value, values[event.step], delta=1e-6 * abs(values[event.step]))
        times = [event.wall_time for event in reader.Scalars("train/loss")]
        self.assertEqual(times, sorted(times))
        self.assertLess(abs(times[-1] - time.time()), 3600)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
