"""The build backend of `pip install .` uses the PyTorch that is installed, and requires one only if there is none."""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import venv

import pytest

BACKEND = pathlib.Path(__file__).resolve().parents[2] / "python" / "backend"

PROGRAM = """
import json, os, sys
import seednorm_build as backend
from scikit_build_core import build
assert set(build.__all__) <= set(dir(backend)), "a hook is missing"
backend.scikit = type("Scikit", (), {
    "get_requires_for_build_wheel": staticmethod(lambda settings: ["ninja"]),
    "get_requires_for_build_editable": staticmethod(lambda settings: ["ninja"]),
    "build_wheel": staticmethod(lambda folder, settings, metadata: settings),
    "build_editable": staticmethod(lambda folder, settings, metadata: settings),
})
settings = json.loads(sys.argv[1])
requires = backend.get_requires_for_build_wheel(settings)
assert requires == backend.get_requires_for_build_editable(settings)
used = backend.build_wheel("folder", settings)
assert used == backend.build_editable("folder", settings)
print(json.dumps([requires, used.get("cmake.define.SEEDNORM_TORCH_DIR")]))
"""


@pytest.fixture
def hidden(tmp_path):
    """What pip's build environment does: PYTHONPATH has the backend's requirements and hides what is installed."""
    import packaging
    import pathspec
    import scikit_build_core
    import torch

    for package in (scikit_build_core, packaging, pathspec):
        folder = pathlib.Path(package.__file__).parent
        (tmp_path / folder.name).symlink_to(folder)
    installed = [str(pathlib.Path(package.__file__).parents[1]) for package in (scikit_build_core, torch)]
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.path = [p for p in sys.path if p not in {installed!r}]\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(BACKEND)])}


def run(python, environment, settings):
    command = [python, "-c", PROGRAM, json.dumps(settings)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=BACKEND.parents[1])
    assert result.returncode == 0, result.stdout + result.stderr
    *said, answer = result.stdout.strip().splitlines()
    return said, *json.loads(answer)


def test_an_installed_torch_is_used(hidden):
    import torch

    result = subprocess.run([sys.executable, "-c", "import torch"], env=hidden, capture_output=True, text=True)
    assert "No module named 'torch'" in result.stderr
    folder = str(pathlib.Path(torch.__file__).parent)
    said, requires, used = run(sys.executable, hidden, {})
    assert requires == ["ninja"] and used == folder
    version = importlib.metadata.version("torch")  # torch.__version__ may have a suffix that its wheel's name lacks
    assert said[0] == f"[seednorm] building with the headers of PyTorch {version}, which is installed in {folder}"


def test_a_missing_torch_is_required(hidden, tmp_path):
    venv.create(tmp_path / "empty", symlinks=True)
    said, requires, used = run(tmp_path / "empty/bin/python", hidden, {})
    assert requires == ["ninja", "torch>=2.10"] and used is None
    assert "PyTorch is not installed" in said[0] and "install it first" in said[1]


@pytest.mark.parametrize("version, required", [("2.9.1", True), ("2.10.0a0+git1", False), ("3.0", False)])
def test_the_version_that_is_installed(hidden, tmp_path, version, required):
    venv.create(tmp_path / "other", symlinks=True)
    (packages,) = (tmp_path / "other/lib").glob("python*/site-packages")
    for folder in ("torch", f"torch-{version}.dist-info"):
        (packages / folder).mkdir()
    (packages / "torch/__init__.py").touch()
    (packages / f"torch-{version}.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    said, requires, used = run(tmp_path / "other/bin/python", hidden, {})
    assert requires == (["ninja", "torch>=2.10"] if required else ["ninja"])
    assert used == (None if required else str(packages / "torch"))
    assert (f"expected PyTorch 2.10 or later, found {version}" in said[0]) == required


def test_the_folder_that_was_named_is_used(hidden):
    settings = {"cmake.define.SEEDNORM_TORCH_DIR": "/somewhere/torch"}
    said, requires, used = run(sys.executable, hidden, settings)
    assert (said, requires, used) == ([], ["ninja"], "/somewhere/torch")
