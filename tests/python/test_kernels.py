"""The layout for the Hugging Face Hub: its library `kernels` loads the package from a local folder."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNELS = ROOT / "build/kernels"

LOAD = f"""
import pathlib, sys, torch
sys.path.append({str(KERNELS)!r})
import kernels
folder = sys.argv[1]
"""

USE = """
layer = kernels.get_local_kernel(pathlib.Path(folder), backend="cpu").SeeDNorm(64)
assert "seednorm" not in sys.modules and type(layer).__module__.startswith("_seednorm_cpu_")
torch.nn.init.normal_(layer.beta)
x = torch.randn(3, 64, requires_grad=True)
y = layer(x)
y.sum().backward()
torch.save([layer.state_dict(), x.detach(), y.detach(), [p.grad for p in (x, *layer.parameters())]], folder + "/results")
compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
assert torch.equal(compiled(x), y)
"""

COMPARE = """
import seednorm
state, x, wanted, gradients = torch.load(folder + "/results")
layer = seednorm.SeeDNorm(64)
layer.load_state_dict(state)
y = layer(x.requires_grad_())
y.sum().backward()
assert torch.equal(y, wanted)
assert all(torch.equal(p.grad, gradient) for p, gradient in zip((x, *layer.parameters()), gradients, strict=True))
"""

TWICE = """
import seednorm
kernels.get_local_kernel(pathlib.Path(folder), backend="cpu")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not (KERNELS / "requirements.txt").exists():
        pytest.skip("kernels is not in build/kernels; script/setup-torch installs it")
    folder = tmp_path_factory.mktemp("hub") / "seednorm"
    make = [ROOT / "torch-ext/make_local", folder, "--python", sys.executable]
    subprocess.run(make, check=True, capture_output=True)
    again = subprocess.run(make, capture_output=True, text=True)
    assert again.returncode != 0 and again.stderr == f"make_local: expected a new folder, but {folder} exists\n"
    return folder


def run(folder, program):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOAD + program, folder]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


def test_loaded_from_a_folder(folder):
    for program in (USE, COMPARE):
        result = run(folder, program)
        assert result.returncode == 0, result.stdout + result.stderr


def test_not_twice_in_a_process(folder):
    result = run(folder, TWICE)
    assert result.returncode == 1, result.stderr
    assert "ImportError: seednorm: this process has loaded the operators of another copy already" in result.stderr


def test_make_local_needs_the_package(tmp_path):
    make = [ROOT / "torch-ext/make_local", tmp_path / "folder", "--python", "/bin/false"]
    result = subprocess.run(make, capture_output=True, text=True)
    assert result.returncode == 1 and "has no package seednorm" in result.stderr
    assert not (tmp_path / "folder").exists()
