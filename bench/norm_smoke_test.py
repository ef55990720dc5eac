"""Smoke test of seednorm-bench-norm: runs --quick, checks the JSON's fields, the table and the errors.

Usage: norm_smoke_test.py PROGRAM TABLE_SCRIPT. No figure is checked for being good, only for being one.
"""

import json
import math
import os
import subprocess
import sys
import tempfile

FIELDS = {
    "impl": str, "norm": str, "pass": str, "dtype": str, "rows": int, "cols": int, "heads": int, "threads": int,
    "median_us": float, "p10_us": float, "p90_us": float, "gb_per_s": float, "limit_gb_per_s": float,
    "of_limit": float, "state": str, "tensor_mb": int, "limit_kind": str,
}


def check(condition, message):
    if not condition:
        sys.exit("FAILED: " + message)


def is_positive(value):
    return isinstance(value, (int, float)) and math.isfinite(value) and value > 0


def check_result(result):
    for name, kind in FIELDS.items():
        check(name in result, f"{name} is missing in {result}")
        value = result[name]
        check(is_positive(value) if kind in (int, float) else isinstance(value, kind), f"{name} is {value!r}")
    check(result["pass"] in ("fwd", "bwd"), result["pass"])
    check(result["p10_us"] <= result["median_us"] <= result["p90_us"], f"quantiles of {result}")
    tensors = 2 if result["pass"] == "fwd" else 3
    size = {"float32": 4, "bfloat16": 2}[result["dtype"]]
    expected = tensors * result["rows"] * result["cols"] * size / result["median_us"] * 1e-3
    check(abs(result["gb_per_s"] / expected - 1) < 2e-3, f"gb_per_s of {result}, expected {expected}")
    ratio = result["gb_per_s"] / result["limit_gb_per_s"]
    check(abs(result["of_limit"] / ratio - 1) < 2e-3, f"of_limit of {result}, expected {ratio}")
    if result["norm"] != "rms_norm":
        check(is_positive(result["vs_rms_norm"]), "vs_rms_norm")
    if result["heads"] > 1:
        check(is_positive(result["vs_one_head"]), "vs_one_head")


def run(program, *args):
    return subprocess.run([program, *args], capture_output=True, text=True, check=False)


def check_error(program, args, words):
    done = run(program, *args)
    check(done.returncode == 2, f"{args}: exit code {done.returncode}")
    check(done.stderr.count("\n") == 1 and words in done.stderr, f"{args}: {done.stderr!r}")
    check(done.stdout == "", f"{args}: {done.stdout!r}")


def main():
    program, table = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "norm.json")
        done = run(program, "--quick", "--json", path)
        check(done.returncode == 0, f"exit code {done.returncode}: {done.stderr}")
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        # Three norms, two dtypes, one width, one size, two passes.
        check(len(data["results"]) == 12, f"{len(data['results'])} results")
        for result in data["results"]:
            check_result(result)
        for key in ("machine", "command", "protocol", "latency", "streams", "read_gb_per_s"):
            check(data.get(key), f"no {key}")
        for result in data["latency"]:
            check(is_positive(result["median_ns"]), "median_ns")
            check(result["allocations"] in (0, None), f"{result['norm']} allocates: {result['allocations']}")
        done = run(sys.executable, table, path)
        check(done.returncode == 0, f"{table}: {done.stderr}")
        check(done.stdout.count("seed_norm:16") >= 4, done.stdout)

    check_error(program, ["--nonsense"], "--nonsense")
    check_error(program, ["--norms", "no_norm"], "no_norm")
    check_error(program, ["--widths", "12x"], "12x")
    check_error(program, ["--norms", "seed_norm:3", "--widths", "1024"], "num_heads")
    check_error(program, ["--json"], "--json")
    check_error(program, ["--json", "/no/such/folder/x.json"], "/no/such/folder")
    check(run(program, "--help").returncode == 0, "--help")
    print("ok")


if __name__ == "__main__":
    main()
