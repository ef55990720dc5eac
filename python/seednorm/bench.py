"""Speed of the layers beside what PyTorch has: python -m seednorm.bench --help

All variants of one size are measured in turns, in one run, and medians taken, so that what else the machine does hits
them alike. Let nothing else run all the same. Memory that a variant frees is kept for the next call, as in a training
loop after its first steps: the pages of fresh memory cost more than a kernel, whichever it is. --fresh-memory leaves
the allocator as it is.
"""

import argparse
import contextlib
import ctypes
import itertools
import json
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import _library, functional, reference

F = torch.nn.functional
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
PASSES = ("fwd", "fwd+bwd")
HEADS = 1
FEWEST_ROUNDS = 5
SIZE_SECONDS = 20.0  # large sizes get fewer rounds, so as not to take longer

Layer = Callable[..., Tensor]

#: Implementation -> the norm it computes, and itself as a function of x, gamma, alpha, beta.
IMPLS: dict[str, tuple[str, Layer]] = {
    "seednorm": ("seed_norm", functional.seed_norm),
    "seednorm_rms": ("rms_norm", lambda x, gamma, alpha, beta: functional.rms_norm(x, gamma)),
    "eager": ("seed_norm", reference.seed_norm),
    "compiled": ("seed_norm", reference.seed_norm),
    "torch_rms": ("rms_norm", lambda x, gamma, alpha, beta: F.rms_norm(x, gamma.shape, gamma, 1e-6)),
    "torch_rms_compiled": ("rms_norm", lambda x, gamma, alpha, beta: F.rms_norm(x, gamma.shape, gamma, 1e-6)),
    "torch_layer": ("layer_norm", lambda x, gamma, alpha, beta: F.layer_norm(x, gamma.shape, gamma, beta, 1e-6)),
}
COMPILED = ("compiled", "torch_rms_compiled")


def add_peers() -> None:
    """Kernels for GPUs of other libraries, where they are installed."""
    with contextlib.suppress(ImportError):
        from liger_kernel.ops.rms_norm import LigerRMSNormFunction

        IMPLS["liger_rms"] = (
            "rms_norm",
            lambda x, gamma, alpha, beta: LigerRMSNormFunction.apply(x, gamma, 1e-6, 0.0, "llama", False),
        )
    with contextlib.suppress(ImportError):
        from quack import rmsnorm

        IMPLS["quack_rms"] = ("rms_norm", lambda x, gamma, alpha, beta: rmsnorm(x, gamma, eps=1e-6))


def main() -> int:
    if torch.cuda.is_available():
        add_peers()
    arguments = parse()
    if not arguments.fresh_memory:
        keep_memory()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    results = []
    print(header(arguments), flush=True)
    for dtype, which, cols, rows in itertools.product(
        arguments.dtypes, arguments.passes, arguments.widths, arguments.rows
    ):
        if rows == arguments.rows[0]:
            layers = compiled_layers(arguments.impls)
        turn = arguments.milliseconds / 1e3
        medians = measure(layers, dtype, which, rows, cols, turn, arguments.rounds, arguments.device)
        # What must move: x and y, then x, dy and dx.
        moved = (2 if which == "fwd" else 5) * rows * cols * DTYPES[dtype].itemsize
        for impl, seconds in medians.items():
            results.append(
                {
                    "impl": impl,
                    "norm": IMPLS[impl][0],
                    "pass": which,
                    "dtype": dtype,
                    "rows": rows,
                    "cols": cols,
                    "heads": HEADS,
                    "threads": arguments.threads,
                    "device": arguments.device,
                    "median_us": seconds * 1e6,
                    "gb_per_s": moved / seconds / 1e9,
                }
            )
        print(line(dtype, which, rows, cols, medians), flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            about = {"command": shlex.join(sys.argv[1:]), "machine": machine(), "results": results}
            json.dump(about, file, indent=1)
    return 0


def parse() -> argparse.Namespace:
    def names(known: Any) -> Callable[[str], list[str]]:
        def parse_names(text: str) -> list[str]:
            if unknown := set(text.split(",")) - set(known):
                raise argparse.ArgumentTypeError(f"expected some of {','.join(known)}, got {unknown.pop()}")
            return text.split(",")

        return parse_names

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(prog="python -m seednorm.bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=numbers, default=[1, 64, 1024, 8192, 32768], help="comma-separated")
    parser.add_argument("--widths", type=numbers, default=[128, 768, 1536, 2048, 4096], help="comma-separated")
    parser.add_argument("--dtypes", type=names(DTYPES), default=["float32", "bfloat16"], help=f"of {','.join(DTYPES)}")
    parser.add_argument("--passes", type=names(PASSES), default=list(PASSES), help=f"of {','.join(PASSES)}")
    parser.add_argument("--impls", type=names(IMPLS), default=list(IMPLS), help=f"of {','.join(IMPLS)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=15, help="turns that the medians are taken over")
    parser.add_argument("--milliseconds", type=float, default=10, help="least time of a turn of one variant")
    parser.add_argument("--fresh-memory", action="store_true", help="let the allocator return memory to the system")
    parser.add_argument("--quick", action="store_true", help="one size, few rounds, nothing compiled")
    parser.add_argument("--json", help="file for the results")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU; --device cpu does without")
    if arguments.quick:
        arguments.rows, arguments.widths, arguments.rounds, arguments.milliseconds = [1, 1024], [1536], 5, 2
        arguments.impls = [impl for impl in arguments.impls if impl not in COMPILED]
    return arguments


def compiled_layers(impls: list[str]) -> dict[str, Layer]:
    """The implementations, those of COMPILED to be compiled when they are called: one row apart, else for any rows.

    Measured at 1,024 x 2,048, code for any rows is as fast as code for these rows alone (within 4%).
    """
    torch.compiler.reset()  # or the many widths would end in PyTorch's limit of recompilations
    layers = {impl: IMPLS[impl][1] for impl in impls}
    return {
        impl: torch.compile(layer, fullgraph=True) if impl in COMPILED else layer for impl, layer in layers.items()
    }


def measure(
    layers: dict[str, Layer],
    dtype: str,
    which: str,
    rows: int,
    cols: int,
    turn: float,
    rounds: int,
    device: str = "cpu",
) -> dict[str, float]:
    """Median seconds a call of each implementation, in turns of at least `turn` seconds."""
    train = which != "fwd"
    x, dy = (torch.randn(rows, cols, dtype=DTYPES[dtype], device=device) for _ in range(2))
    params = [
        (torch.randn(cols, device=device) * scale + mean).to(DTYPES[dtype])
        for mean, scale in ((1, 0.1), (1, 0.1), (0, 0.02))
    ]
    leaves = [t.requires_grad_(train) for t in (x, *params)]
    if rows > 1:
        torch._dynamo.mark_dynamic(x, 0)

    def call(layer: Layer) -> Callable[[], object]:
        if not train:
            return lambda: layer(*leaves)
        return lambda: torch.autograd.grad(layer(*leaves), leaves, dy, allow_unused=True)

    calls, counts = {impl: call(layer) for impl, layer in layers.items()}, {}
    with torch.set_grad_enabled(train):
        for function in calls.values():
            for _ in range(3):  # compiles, and brings code and memory in
                function()
        for impl, function in calls.items():
            # The fastest of some, lest a slow one make the turns short, and the first call of each count for more.
            few = max(1, min(100, int(1e-3 / timed(function, 1))))
            counts[impl] = max(1, int(turn / min(timed(function, few) for _ in range(3))))
        times: dict[str, list[float]] = {impl: [] for impl in calls}
        start = time.perf_counter()
        for done in range(rounds):
            if done >= FEWEST_ROUNDS and time.perf_counter() - start > SIZE_SECONDS:
                break
            for impl, function in calls.items():
                function()  # finds in the caches what the one before left there
                times[impl].append(timed(function, counts[impl]))
    return {impl: statistics.median(values) for impl, values in times.items()}


def keep_memory() -> None:
    """Has glibc keep what is freed; elsewhere it does nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4  # of malloc.h
        mallopt(trim_threshold, -1)  # never
        mallopt(mmap_max, 0)


def timed(function: Callable[[], object], count: int) -> float:
    """Seconds a call; of a GPU's work that is queued back to back."""
    start = time.perf_counter()
    for _ in range(count):
        function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def machine() -> dict[str, str]:
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            processor = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "processor": processor,
        "simd": _library.simd_target(),
        "seednorm": _library.version(),
        "torch": torch.__version__,
    }


def header(arguments: argparse.Namespace) -> str:
    names = "".join(f"{impl:>20}" for impl in arguments.impls)
    return (
        f"{', '.join(f'{key} {value}' for key, value in machine().items())}, {arguments.threads} threads\n"
        f"microseconds, and how many times those of {arguments.impls[0]}\n"
        f"{'dtype':9}{'pass':8}{'rows':>7}{'cols':>6}{names}"
    )


def line(dtype: str, which: str, rows: int, cols: int, medians: dict[str, float]) -> str:
    first = next(iter(medians.values()))
    cells = "".join(f"{seconds * 1e6:12.1f}{seconds / first:7.2f}x" for seconds in medians.values())
    return f"{dtype:9}{which:8}{rows:7}{cols:6}{cells}"


if __name__ == "__main__":
    sys.exit(main())
