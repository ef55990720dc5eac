"""Smoke test of bench/vision: a round of small batches beside timm and diffusers, and its messages.

Usage: vision_smoke_test.py PROGRAM, with the Python of script/setup-torch. Exits with 77 (skipped) after the messages if
timm is missing. No figure is checked for being good, only for being one.
"""

import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(__file__).parent


def check(condition, message):
    if not condition:
        sys.exit(f"FAILED: {message}")


def run(bench, *args):
    return subprocess.run([sys.executable, str(bench / "vision"), *args], capture_output=True, text=True, check=False)


def check_error(bench, args, *words):
    done = run(bench, *args)
    check(done.returncode == 2, f"{args}: exit code {done.returncode}: {done.stderr}")
    last = done.stderr.splitlines()[-1]
    check(all(w in last for w in words), f"{args}: {last}")


def check_messages(folder):
    check_error(BENCH, ["--models", "resnet"], "vit,convnext,dit,vit-b", "resnet")
    check_error(BENCH, ["--peers", "jax"], "eager,compiled", "jax")
    copy = folder / "bench"  # beside it there is no build/timm
    shutil.copytree(BENCH, copy, ignore=shutil.ignore_patterns("results", "__pycache__"))
    check_error(copy, [], "script/setup-torch")


def is_positive(value):
    return isinstance(value, (int, float)) and math.isfinite(value) and value > 0


def check_results(data, page):
    peers = [(row["model"].split(",")[0], row["impl"]) for row in data["peers"]]
    check(peers == [("ViT", "seednorm"), ("ViT", "eager"), ("ConvNeXt", "seednorm"), ("ConvNeXt", "eager"),
                    ("ConvNeXt", "eager, channels last"), ("DiT", "seednorm"), ("DiT", "eager")], peers)  # fmt: skip
    for row in data["peers"]:
        for field in ("median_step_s", "images_per_s", "times_slower", "peak_memory_bytes", "params"):
            check(is_positive(row[field]), f"{field} of {row}")
        check(len(row["step_s"]) == 1, f"{row}")
        check(row["model"] in page, page)
    check("timm" in data["peers"][1]["versions"] and "diffusers" in data["peers"][-1]["versions"], data["peers"])
    check(len(data["norms"]) == 6, data["norms"])
    for row in data["norms"]:
        check(is_positive(row["times_first"]) and is_positive(row["median_step_s"]), row)
        check(row["norm"] == "layer_norm" or "num_heads=16" in row["norm"], row)


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        check_messages(folder)
        if not (BENCH.parent / "build" / "timm" / "timm").is_dir():
            print("skipped after the messages: build/timm is missing; script/setup-torch installs it")
            sys.exit(77)
        done = run(BENCH, "--seednorm", str(program), "--models", "vit,convnext,dit", "--peers", "eager", "--batch", "2",
                   "--threads", "1", "--rounds", "1", "--json", str(folder / "vision.json"))  # fmt: skip
        check(done.returncode == 0, f"exit code {done.returncode}: {done.stderr}")
        check_results(json.loads((folder / "vision.json").read_text()), done.stdout)
    print("ok")


if __name__ == "__main__":
    main()
