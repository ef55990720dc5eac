"""Programs that take training steps in turn, for bench/train and bench/vision.

Every contestant is a separate process that takes a step on request, so that other load on the machine affects all
alike, and the peak memory of each is its own.
"""

import contextlib
import importlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent
REALTIME_PRIORITY = 10


class Contestant:
    """A process that takes a step for each line that it gets."""

    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self._answer()
        self.seconds: dict[str, list[float]] = {}

    def step(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for name, seconds in self._answer().items():
            self.seconds.setdefault(name, []).extend(seconds)

    def finish(self) -> str:
        rest, _ = self.process.communicate(timeout=120)
        if self.process.returncode != 0:
            raise SystemExit(f"{self.process.args[0]}: exit code {self.process.returncode}")
        return rest

    def give_priority(self) -> None:
        """Over everything that has none: it idles between its turns."""
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(map(str, self.process.args))}: ended early")
        return json.loads(line)


def take_turns(contestants: list[Contestant], rounds: int, realtime: bool) -> None:
    if realtime:
        for contestant in contestants:
            contestant.give_priority()
    for turn in range(rounds):
        for i in range(len(contestants)):
            contestants[(turn + i) % len(contestants)].step()


def median_ratio(times: list[float], base: list[float]) -> float:
    """The median of the rounds' ratios, so that slow minutes of the machine cancel."""
    return statistics.median(t / b for t, b in zip(times, base, strict=True))


def peers_table(rows: list[dict], condition: str, unit: str, digits: int) -> Iterator[str]:
    """A Markdown table of programs that compute the same.

    `condition` is the column behind the model's, `unit` what a step has, and `digits` those of units a second.
    """
    yield (f"| model | {condition} | implementation | ms a step | {unit}/s | time over ours | peak memory, GB "
           "| of matrix products' speed |")  # fmt: skip
    yield "|---|---:|---|---:|---:|---:|---:|---:|"
    for r in rows:
        share = f"{r['of_peak']:.2f} of {r['matmul_flops_per_s'] / 1e9:.0f} GFLOP/s" if "of_peak" in r else ""
        yield (f"| {r['model']} | {r[condition]} | {r['impl']} | {r['median_step_s'] * 1e3:.0f} | {r[f'{unit}_per_s']:.{digits}f} "
               f"| {r['times_slower']:.2f} | {r['peak_memory_bytes'] / 1e9:.2f} | {share} |")  # fmt: skip
    yield ""


def norms_table(rows: list[dict], *columns: str) -> Iterator[str]:
    """A Markdown table of norms, which these columns tell apart."""
    yield f"| {' | '.join(columns)} | ms a step | time over the first |"
    yield f"|{'---|' * len(columns)}---:|---:|"
    for r in rows:
        first = " | ".join(r[column] for column in columns)
        yield f"| {first} | {r['median_step_s'] * 1e3:.0f} | {r['times_first']:.3f} |"
    yield ""


def machine(*packages: str) -> dict:
    """The processor, the system, the versions of these packages, the commit and the date."""
    processor = platform.machine()
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo", encoding="utf-8") as file:
        processor = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout
    versions = {name: importlib.import_module(name).__version__ for name in packages}
    return {"processor": processor, "processors": os.cpu_count(), "system": platform.platform(), **versions,
            "commit": commit.strip(), "date": time.strftime("%Y-%m-%d")}  # fmt: skip
