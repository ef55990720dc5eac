"""Smoke test of seednorm-bench-norm --peer onednn: its messages, and a short run where oneDNN can be loaded.

Usage: peer_smoke_test.py PROGRAM. Exits with 77 (skipped) after the messages if oneDNN is not installed;
bench/README.md says how to get it.
"""

import json
import math
import os
import subprocess
import sys
import tempfile


def check(condition, message):
    if not condition:
        sys.exit("FAILED: " + message)


def run(program, *args):
    return subprocess.run([program, "--peer", "onednn", *args], capture_output=True, text=True, check=False)


def check_error(program, args, *words):
    done = run(program, *args)
    check(done.returncode == 2, f"{args}: exit code {done.returncode}")
    check(done.stderr.count("\n") == 1 and all(w in done.stderr for w in words), f"{args}: {done.stderr!r}")
    check(done.stdout == "", f"{args}: {done.stdout!r}")


def check_messages(program):
    check_error(program, ["--peer-library", "/no/such/libdnnl.so.3"], "/no/such/libdnnl.so.3", "pip install onednn")
    check_error(program, ["--peer-library", "libm.so.6"], "libm.so.6", "dnnl_version", "pip install onednn")
    check_error(program, ["--peer", "mkl"], "expected onednn", "mkl")
    check_error(program, ["--shapes", "1024"], "--shapes", "1024x2048")
    check_error(program, ["--norms", "seed_norm"], "seed_norm", "rms_norm")
    check_error(program, ["--dtypes", "float16"], "float16", "bfloat16")
    check_error(program, ["--widths", "1024"], "--widths", "--shapes")
    check_error(program, ["--threads", "1024"], "--threads", "1024")
    done = subprocess.run([program, "--shapes", "8x64"], capture_output=True, text=True, check=False)
    check(done.returncode == 2 and "--peer onednn" in done.stderr, done.stderr)


def main():
    program = sys.argv[1]
    check_messages(program)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "peer.json")
        done = run(program, "--quick", "--threads", "1", "--json", path)
        if done.returncode == 2 and "pip install onednn" in done.stderr:
            print("skipped after the messages: " + done.stderr.strip())
            sys.exit(77)
        check(done.returncode == 0, f"exit code {done.returncode}: {done.stderr}")
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    # Two layers, two passes, two dtypes, one shape.
    check(len(data["results"]) == 8, f"{len(data['results'])} results")
    ratios = [result["onednn_over_seednorm"] for result in data["results"]]
    check(all(math.isfinite(ratio) and ratio > 0 for ratio in ratios), f"{ratios}")
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    check(abs(data["geometric_mean"] / mean - 1) < 1e-2, f"geometric mean {data['geometric_mean']}, expected {mean}")
    check(data["worst"]["onednn_over_seednorm"] == min(ratios), f"{data['worst']}, expected {min(ratios)}")
    check(data["peer"]["version"].startswith("3."), f"{data['peer']}")
    check(data["machine"]["cpu"] in done.stdout, done.stdout)
    print("ok")


if __name__ == "__main__":
    main()
