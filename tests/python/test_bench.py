"""The benchmarks of the package run, and report what they measured."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(path, *command):
    result = subprocess.run([sys.executable, *command, "--json", path], capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, json.loads(path.read_text())["results"]


def test_layers(tmp_path):
    """One row and 1,024 rows, forward and with backward, beside F.rms_norm: what bench/README.md shows."""
    command = ["--rows", "1,1024", "--widths", "64", "--impls", "seednorm,torch_rms", "--rounds", "2", "--milliseconds", "1"]
    printed, results = run(tmp_path / "layers.json", "-m", "seednorm.bench", *command)
    measured = {(row["impl"], row["rows"], row["pass"], row["dtype"]) for row in results}
    assert len(measured) == len(results) == 2 * 2 * 2 * 2
    assert all(row["median_us"] > 0 for row in results)
    assert "torch_rms" in printed


def test_a_model(tmp_path):
    pytest.importorskip("transformers")
    command = ["--model", "tiny", "--rounds", "2", "--context", "32", "--tokens", "3", "--threads", "1"]
    printed, results = run(tmp_path / "model.json", ROOT / "bench/model", *command)
    names = [row["what"] for row in results]
    assert names[0] == "convert(), 5 norms" and len(names) == 6
    assert all(row["median_s"] > 0 for row in results)
    assert all(row["times_original"] > 0 for row in results[1:])
    assert all(row["peak_bytes"] >= 0 for row in results[:4])
    assert all(f"| {name} |" in printed for name in names)
