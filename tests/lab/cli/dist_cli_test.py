"""Training by several processes: the same bits as one process, checkpoints of any number of them, errors and deaths.

usage: dist_cli_test.py PROGRAM
"""
import hashlib
import importlib.util
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from stripes import write_stripes

PROGRAM = ""
SETTINGS = ["context=32", "batch_size=8", "micro_batch_size=1", "steps=6", "warmup_tokens=1000", "train_data=tokens",
            "valid_data=tokens", "eval_rows=8", "eval_every=3", "threads=1"]
TIMEOUT = 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def torchrun_variables(rank, size, port, address="127.0.0.1"):
    return {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "MASTER_ADDR": address, "MASTER_PORT": port}


def slurm_variables(rank, size, port, address="127.0.0.1"):
    return {"SLURM_STEP_ID": 0, "SLURM_JOB_ID": 17, "SLURM_PROCID": rank, "SLURM_STEP_NUM_TASKS": size, "SLURM_LOCALID": rank,
            "SLURM_STEP_NODELIST": "localhost", "MASTER_PORT": port}


def open_mpi_variables(rank, size, port, address="127.0.0.1"):
    return {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": size, "OMPI_COMM_WORLD_LOCAL_RANK": rank,
            "OMPI_COMM_WORLD_LOCAL_SIZE": size, "MASTER_PORT": port}


class DistCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "text.txt").write_text(
            "".join(f"{i} and {i * i % 97} are numbers, said the {i % 7}th man.\n" for i in range(900)))
        subprocess.run([PROGRAM, "data", "tokenize", "text.txt", "--tokenizer", "byte", "--out", "tokens"], cwd=cls.folder,
                       check=True, capture_output=True)

    def start(self, size, out, *settings, recipe="olmo2-0.5m", common=SETTINGS, **options):
        """Starts the ranks of a run."""
        return self.start_program(size, ["train", recipe, *common, *settings, "--out", out], **options)

    def start_program(self, size, arguments, variables=torchrun_variables, more=None, prefix=lambda rank: [], ranks=None,
                      port=None):
        port = port or free_port()
        processes = []
        for rank in range(size) if ranks is None else ranks:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            environment.update({k: str(v) for k, v in (variables(rank, size, port) if size > 1 else {}).items()})
            environment.update(more or {})
            processes.append(subprocess.Popen([*prefix(rank), PROGRAM, *arguments], cwd=self.folder, env=environment,
                                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes

    def finish(self, processes, code=0):
        """The last lines that the ranks wrote to stderr."""
        lines = []
        for process in processes:
            try:
                _, errors = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                for other in processes:
                    other.kill()
                raise
            if code is not None:
                self.assertEqual(process.returncode, code, errors)
            lines.append(errors.strip().splitlines()[-1] if errors.strip() else "")
        return lines

    def train(self, size, out, *settings, code=0, **options):
        return self.finish(self.start(size, out, *settings, **options), code)

    def write_task(self):
        """Questions of the task piqa."""
        (self.folder / "piqa.validation.jsonl").write_text("".join(
            json.dumps({"goal": f"{i} and {i * i % 97}", "sol1": "are numbers", "sol2": f"said {i}", "label": i % 2}) + "\n"
            for i in range(90)))

    def weights(self, out):
        newest = sorted((self.folder / out / "checkpoints").glob("step-????????"))[-1]
        return newest.name, hashlib.sha256((newest / "model.safetensors").read_bytes()).hexdigest()

    def losses(self, out):
        """The lines of the log without seconds."""
        text = (self.folder / out / "metrics.jsonl").read_text()
        return [",".join(part for part in line.split(",") if '"seconds"' not in part) for line in text.splitlines()]


class SameBits(DistCase):
    def test_on_one_two_and_four_ranks(self):
        for recipe in "olmo2-0.5m", "olmoe-0.5m":
            with self.subTest(recipe):
                self.train(1, f"{recipe}-1", recipe=recipe)
                for size, variables in (2, slurm_variables), (4, open_mpi_variables):
                    self.train(size, f"{recipe}-{size}", recipe=recipe, variables=variables)
                    self.assertEqual(self.weights(f"{recipe}-{size}"), self.weights(f"{recipe}-1"))
                    self.assertEqual(self.losses(f"{recipe}-{size}"), self.losses(f"{recipe}-1"))

    def test_with_muon_whose_matrices_are_whole(self):
        for size in 1, 2, 4:
            self.train(size, f"muon-{size}", "optimizer=muon", recipe="olmoe-0.5m")
        self.assertEqual(self.weights("muon-2"), self.weights("muon-1"))
        self.assertEqual(self.weights("muon-4"), self.weights("muon-1"))
        self.assertEqual(self.losses("muon-4"), self.losses("muon-1"))

    def test_with_rows_that_do_not_divide_and_with_recomputed_activations(self):
        settings = ["batch_size=7", "micro_batch_size=2", "checkpointing=true"]
        for size in 1, 2, 4:
            self.train(size, f"odd-{size}", *settings)
        self.assertEqual(self.weights("odd-2"), self.weights("odd-1"))
        self.assertEqual(self.weights("odd-4"), self.weights("odd-1"))

    def test_with_fewer_micro_batches_than_ranks(self):
        for size in 1, 4:
            self.train(size, f"few-{size}", "batch_size=3")
        self.assertEqual(self.weights("few-4"), self.weights("few-1"))

    def test_with_an_expert_that_nobody_chose(self):
        # Two tokens of a row cannot reach all of the experts.
        settings = ["context=2", "batch_size=4", "valid_data="]
        for size in 1, 4:
            self.train(size, f"lonely-{size}", *settings, recipe="olmoe-0.5m")
        self.assertEqual(self.weights("lonely-4"), self.weights("lonely-1"))

    def test_is_up_to_rounding_in_the_free_order(self):
        self.train(1, "ordered")
        self.train(2, "free", "reproducible=false")
        loss = [float(self.losses(out)[-1].split('"val_loss":')[1].split("}")[0]) for out in ("ordered", "free")]
        self.assertTrue(abs(loss[0] - loss[1]) < 1e-5, loss)

    def test_of_tasks_that_ranks_divide(self):
        self.write_task()
        settings = ["tasks=piqa", "tasks_data=.", "tasks_every=3"]
        for size in 1, 2:
            self.train(size, f"tasks-{size}", *settings)
        self.assertIn("piqa", "".join(self.losses("tasks-1")))
        self.assertEqual(self.losses("tasks-2"), self.losses("tasks-1"))

    def test_through_torchrun(self):
        if importlib.util.find_spec("torch") is None:
            self.skipTest("torchrun is not installed for this Python")
        self.train(1, "alone")
        command = [sys.executable, "-m", "torch.distributed.run", "--no-python", "--standalone", "--nproc-per-node", "2",
                   PROGRAM, "train", "olmo2-0.5m", *SETTINGS, "--out", "torchrun"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("6 steps"), 1, done.stdout)  # one rank speaks
        self.assertEqual(self.weights("torchrun"), self.weights("alone"))

    def test_three_ranks_learn_the_same_up_to_rounding(self):
        self.train(1, "exact")
        self.train(3, "three")
        loss = [float(self.losses(out)[-1].split('"val_loss":')[1].split("}")[0]) for out in ("exact", "three")]
        self.assertTrue(abs(loss[0] - loss[1]) < 1e-5, loss)


class Pictures(DistCase):
    """The workloads of pictures, on stripes."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_stripes(cls.folder / "stripes", 48, 21)

    def test_give_the_same_bits_on_one_two_and_four_ranks(self):
        common = ["train_data=stripes", "batch_size=8", "micro_batch_size=2", "steps=4", "eval_every=2", "threads=1"]
        small = ["dim=16", "num_layers=2", "num_heads=2", "ffn_dim=32"]
        for recipe, settings in (("vit-digits", [*small, "norm=seed_norm(num_heads=4)", "drop_path=0.2", "mixup=0.8",
                                                 "ema_decay=0.9"]),
                                 ("mae-micro", ["image_size=8", "patch_size=2", *small, "decoder_dim=16", "decoder_ffn_dim=32"]),
                                 ("dit-micro", ["input_size=8", "patch_size=2", *small, "sample_count=2", "sample_steps=3"])):
            with self.subTest(recipe):
                for size in 1, 2, 4:
                    self.train(size, f"{recipe}-{size}", *settings, recipe=recipe, common=common)
                for size in 2, 4:
                    self.assertEqual(self.weights(f"{recipe}-{size}"), self.weights(f"{recipe}-1"))
                    self.assertEqual(self.losses(f"{recipe}-{size}"), self.losses(f"{recipe}-1"))


class Evaluation(DistCase):
    """`seednorm eval` gives the same numbers on any number of ranks."""

    def evaluate(self, size, *arguments, code=0, **options):
        return self.finish(self.start_program(size, ["eval", *arguments], **options), code)

    def result(self, file):
        """The file's numbers without the seconds."""
        result = json.loads((self.folder / file).read_text())
        for kind in "tasks", "perplexity":
            for value in result.get(kind, {}).values():
                del value["seconds"]
        return result

    def test_of_tasks_and_sets_of_text(self):
        self.write_task()
        self.train(1, "language")
        arguments = ["--model", "language/checkpoints/step-00000006", "--data", ".", "--tasks", "piqa,tokens", "--batch", "8",
                     "--limit", "77"]
        for size in 1, 2, 3:
            self.evaluate(size, *arguments, "--json", f"eval-{size}.json")
            self.assertEqual(self.result(f"eval-{size}.json"), self.result("eval-1.json"))
        self.assertEqual(self.result("eval-1.json")["perplexity"]["tokens"]["chunks"], 77)
        # An evaluation that kept its results goes on with any number of ranks.
        self.evaluate(2, *arguments, "--out", "kept")
        (self.folder / "kept" / "eval.json").unlink()
        before = sorted(file.stat().st_mtime_ns for file in (self.folder / "kept").iterdir())
        self.evaluate(1, *arguments, "--out", "kept", "--json", "kept.json")
        self.assertEqual(self.result("kept.json"), self.result("eval-1.json"))
        self.assertEqual(sorted(file.stat().st_mtime_ns for file in (self.folder / "kept").iterdir() if file.name != "eval.json"),
                         before)

    def test_of_pictures(self):
        write_stripes(self.folder / "pictures", 64, 41)
        self.train(1, "pictures-run", "dim=16", "num_layers=2", "num_heads=2", "ffn_dim=32", "batch_size=16", "steps=2",
                   "train_data=pictures", "threads=1", recipe="vit-digits", common=[])
        arguments = ["--model", "pictures-run/checkpoints/step-00000002", "--data", "pictures", "--batch", "4"]
        for size in 1, 2, 3:
            self.evaluate(size, *arguments, "--json", f"acc-{size}.json", "--predictions", f"predictions-{size}.jsonl")
            self.assertEqual(self.result(f"acc-{size}.json"), self.result("acc-1.json"))
            self.assertEqual((self.folder / f"predictions-{size}.jsonl").read_text(),
                             (self.folder / "predictions-1.jsonl").read_text())
        self.assertEqual(self.result("acc-1.json")["images"], 41)
        self.assertEqual([file.name for file in self.folder.glob("*.partial*")], [])
        for line in self.evaluate(2, *arguments, "--predictions", "predictions-1.jsonl", code=2):
            self.assertIn("exists already", line)

    def test_of_ranks_with_different_models(self):
        self.train(1, "first")
        self.train(1, "second", "seed=5")
        port = free_port()
        processes = []
        for rank, run in enumerate(("first", "second")):
            processes += self.start_program(2, ["eval", "--model", f"{run}/checkpoints/step-00000006", "--data", ".", "--tasks",
                                                "tokens", "--limit", "2"], ranks=[rank], port=port)
        for line in self.finish(processes, code=2):
            self.assertIn("tokens: its model or its data is not that of rank 0", line)


class Checkpoints(DistCase):
    def test_go_on_with_other_numbers_of_ranks(self):
        for optimizer in "adamw", "muon":
            settings = ["steps=9", "checkpoint_every=3", f"optimizer={optimizer}"]
            self.train(1, f"whole-{optimizer}", *settings)
            for parts in (4, 2, 1), (1, 2, 4):
                out = f"{optimizer}-" + "-".join(map(str, parts))
                for steps, size in zip((3, 6, 9), parts):
                    # The schedule must know the end, so the run is cut after its checkpoint.
                    shutil.rmtree(self.folder / out / "checkpoints" / "step-00000009", ignore_errors=True)
                    self.train(size, out, *settings, "--resume")
                    for folder in (self.folder / out / "checkpoints").glob("step-*"):
                        if int(folder.name[5:]) > steps:
                            shutil.rmtree(folder)
                self.assertEqual(self.weights(out), self.weights(f"whole-{optimizer}"))

    def test_keep_the_micro_batch_of_the_first_call(self):
        settings = ["micro_batch_size=0", "steps=4", "checkpoint_every=2"]
        self.train(2, "begun", *settings)
        before = self.weights("begun")
        shutil.rmtree(self.folder / "begun/checkpoints/step-00000004")
        self.train(1, "begun", *settings, "--resume")
        self.assertEqual(self.weights("begun"), before)

    def test_hold_an_equal_part_of_the_optimizer_for_each_rank(self):
        self.train(4, "shares")
        sizes = [f.stat().st_size for f in (self.folder / "shares/checkpoints/step-00000006").glob("optimizer-*")]
        self.assertEqual(len(sizes), 4)
        self.assertLess(max(sizes), 1.05 * sum(sizes) / 4)  # a small model; parts begin at multiples of 4,096 elements

    def test_survive_the_death_of_a_rank_at_any_moment(self):
        settings = ["steps=40", "checkpoint_every=1", "eval_every=10"]
        self.train(1, "undisturbed", *settings)
        draw = random.Random(7)
        for _ in range(20):
            processes = self.start(2, "killed", *settings, "--resume", more={"SEEDNORM_DIST_TIMEOUT": "5"})
            time.sleep(draw.uniform(0.3, 1.5))
            victim = draw.randrange(2)
            processes[victim].kill()
            begin = time.monotonic()
            lines = self.finish(processes, code=None)
            self.assertLess(time.monotonic() - begin, 30)
            if processes[1 - victim].returncode != 0:  # otherwise it was over already
                self.assertIn(f"rank {victim}", lines[1 - victim])
        self.train(2, "killed", *settings, "--resume")
        self.assertEqual(self.weights("killed"), self.weights("undisturbed"))

    def test_are_written_when_all_ranks_are_told_to_stop(self):
        processes = self.start(2, "stopped", "steps=100000")
        deadline = time.monotonic() + TIMEOUT
        while not (self.folder / "stopped/metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for line in self.finish(processes, code=130):
            self.assertIn("a checkpoint is saved", line)
        self.assertTrue(list((self.folder / "stopped/checkpoints").glob("step-????????")))


class Races(DistCase):
    def race(self, out, *options, environment=None):
        return subprocess.Popen([PROGRAM, "race", "olmo2-0.5m", *SETTINGS, "steps=12", "--norms", "rms_norm,dyt,seed_norm",
                                 "--seeds", "2", "--out", out, *options], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE,
                                env={**os.environ, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in (environment or {}).items()}})

    def values(self, out):
        runs = json.loads((self.folder / out / "results.json").read_text())["runs"]
        return {run["dir"]: {k: v for k, v in run.items() if "second" not in k and "time" not in k and not k.endswith("_per_s")} for run in runs}

    def expect(self, processes):
        outputs = []
        for process in processes:
            output, errors = process.communicate(timeout=TIMEOUT)
            self.assertEqual(process.returncode, 0, errors)
            outputs.append((output, errors))
        return outputs

    def test_whose_workers_come_and_go_end_as_the_race_of_one(self):
        self.expect([self.race("alone")])
        workers = [self.race("apart", "--parallel", "runs") for _ in range(2)]
        time.sleep(1.5)
        workers[0].kill()
        workers[0].communicate()
        late = self.race("apart", "--parallel", "runs")
        self.expect([workers[1], late])
        self.assertEqual(self.values("apart"), self.values("alone"))
        self.assertEqual(len(self.values("apart")), 6)
        self.assertTrue((self.folder / "apart/report.html").exists())
        # A finished race only looks at its results.
        ((_, errors),) = self.expect([self.race("apart", "--parallel", "runs")])
        self.assertNotIn("---", errors)

    def test_of_ranks_that_train_together(self):
        port = free_port()
        outputs = self.expect([self.race("together", environment=torchrun_variables(rank, 2, port)) for rank in range(2)])
        if not (self.folder / "alone").exists():
            self.expect([self.race("alone")])
        self.assertEqual(self.values("together"), self.values("alone"))
        self.assertIn("report.html", outputs[0][0])
        self.assertEqual(outputs[1][0], "")

    def test_with_workers_refuses_another_race(self):
        self.expect([self.race("mine", "--parallel", "runs", "steps=2")])
        other = self.race("mine", "--parallel", "runs", "steps=3")
        _, errors = other.communicate(timeout=TIMEOUT)
        self.assertEqual(other.returncode, 2)
        self.assertIn("belongs to another race", errors)


class BadInput(DistCase):
    def both(self, first, second, port, code=2):
        return self.finish(self.start(2, "bad", *first, ranks=[0], port=port) +
                           self.start(2, "bad", *second, ranks=[1], port=port), code)

    def test_other_settings(self):
        for line in self.both([], ["lr=0.5"], free_port()):
            self.assertIn("rank 1 was started differently from rank 0 (lr: 0.5 there, 0.003 now)", line)
        self.assertFalse((self.folder / "bad").exists())

    def test_other_calls(self):
        for line in self.both([], ["--resume"], free_port()):
            self.assertIn("bad --resume there, bad here", line)

    def test_a_mistake_that_only_one_rank_sees(self):
        lines = self.both([], ["train_data=nowhere"], free_port())
        self.assertIn("rank 1 was started differently", lines[0])

    def test_a_folder_that_is_taken(self):
        self.train(1, "taken")
        for line in self.train(2, "taken", code=2):
            self.assertIn("already has a run", line)

    def test_a_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            lines = self.train(2, "bad", code=2, port=taken.getsockname()[1], more={"SEEDNORM_DIST_TIMEOUT": "3"}, ranks=[0])
        self.assertIn("MASTER_PORT chooses another", lines[0])

    def test_ranks_that_do_not_come(self):
        (line,) = self.train(2, "bad", code=2, ranks=[0], more={"SEEDNORM_DIST_TIMEOUT": "1"})
        self.assertIn("for rank 1 of 2, which did not come", line)
        (line,) = self.train(2, "bad", code=2, ranks=[1], more={"SEEDNORM_DIST_TIMEOUT": "1"})
        self.assertIn("does not reach rank 0", line)

    def test_a_device_that_is_not_there(self):
        (line,) = self.train(1, "bad", "device=cuda", code=2)
        self.assertIn("device: cuda cannot be used", line)
        (line,) = self.train(1, "bad", "device=gpu", code=2)
        self.assertIn('expected cpu, cuda or cuda:N, got "gpu"', line)
        self.assertFalse((self.folder / "bad").exists())

    def test_half_of_an_environment(self):
        for variables, text in (({"RANK": 0, "WORLD_SIZE": 2}, "MASTER_ADDR is not set"), ({"WORLD_SIZE": 2}, "RANK is not set"),
                                ({"RANK": 2, "WORLD_SIZE": 2}, "from 0 to 1"), ({"RANK": "x", "WORLD_SIZE": 2}, '"x"')):
            (line,) = self.train(2, "bad", code=2, ranks=[0], variables=lambda *_: variables)
            self.assertIn(text, line)
        (line,) = self.train(2, "bad", code=2, ranks=[0], more={"SEEDNORM_DIST_TIMEOUT": "soon"})
        self.assertIn("SEEDNORM_DIST_TIMEOUT", line)


class TwoHosts(DistCase):
    """Two network namespaces, joined by a pair of virtual devices."""

    def setUp(self):
        if os.geteuid() != 0 or shutil.which("ip") is None:
            self.skipTest("network namespaces need root and the program ip")
        self.names = [f"sn{os.getpid()}{i}" for i in range(2)]
        steps = [["netns", "add", name] for name in self.names]
        steps += [["link", "add", self.names[0], "type", "veth", "peer", "name", self.names[1]]]
        for i, name in enumerate(self.names):
            steps += [["link", "set", name, "netns", name], ["-n", name, "addr", "add", f"10.77.0.{i + 1}/24", "dev", name],
                      ["-n", name, "link", "set", name, "up"], ["-n", name, "link", "set", "lo", "up"]]
        for step in steps:
            if subprocess.run(["ip", *step], capture_output=True).returncode != 0:
                self.tearDown()
                self.skipTest("this machine does not let tests make network namespaces")

    def tearDown(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def begin(self, out, *settings):
        return self.start(2, out, *settings, variables=lambda r, s, p: torchrun_variables(r, s, p, "10.77.0.1"),
                          prefix=lambda rank: ["ip", "netns", "exec", self.names[rank]], more={"SEEDNORM_DIST_TIMEOUT": "5"})

    def test_train_together(self):
        self.train(1, "one-host")
        self.finish(self.begin("two-hosts"))
        self.assertEqual(self.weights("two-hosts"), self.weights("one-host"))

    def test_end_when_they_are_cut_off(self):
        processes = self.begin("cut", "steps=100000")
        time.sleep(3)
        subprocess.run(["ip", "-n", self.names[1], "link", "set", self.names[1], "down"], check=True)
        begin = time.monotonic()
        self.finish(processes, code=1)
        self.assertLess(time.monotonic() - begin, 60)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
