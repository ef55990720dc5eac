"""The installed package: what it carries, what it says of itself, and when PyTorch is too old."""

import importlib.metadata
import pathlib
import re
import subprocess
import sys

import pytest
import seednorm
import tomllib
import torch
from seednorm import _library

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = pathlib.Path(seednorm.__file__).parent


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd="/")


def test_it_is_the_installed_one():
    assert not PACKAGE.is_relative_to(ROOT / "python")
    assert seednorm.__version__ == importlib.metadata.version("seednorm")


def test_it_carries_what_it_needs():
    """Beside the library, what it needs and not every machine has: Highway's, if that is a shared one."""
    needed = subprocess.run(["readelf", "-d", _library.path()], capture_output=True, text=True, check=True).stdout
    if "libhwy" in needed:
        assert list(PACKAGE.glob("libhwy.so.*"))
    assert "python" not in needed  # so that one wheel serves every Python
    assert (PACKAGE / "py.typed").exists()
    maps = pathlib.Path("/proc/self/maps").read_text()
    libraries = {line.split()[-1] for line in maps.splitlines() if "libhwy" in line or "libseednorm" in line}
    assert libraries and all(library.startswith(str(PACKAGE)) for library in libraries)


def test_only_one_openmp():
    """PyTorch's threads are used: no pool of our own, no second OpenMP."""
    tasks = pathlib.Path("/proc/self/task")
    torch.ones(2000, 2000).add_(1)  # starts PyTorch's threads
    before = len(list(tasks.iterdir()))
    seednorm.SeeDNorm(2000)(torch.randn(2000, 2000))
    assert len(list(tasks.iterdir())) == before


def test_main():
    result = python("-m", "seednorm")
    assert result.returncode == 0, result.stdout + result.stderr
    for expected in (seednorm.__version__, _library.simd_target(), torch.__version__):
        assert expected in result.stdout
    assert result.stdout.count(" ok,") == len(_library.norm_names())


@pytest.mark.parametrize("version", ["2.9.1", "1.13.0+cu117"])
def test_old_torch(version):
    result = python("-c", f"import torch; torch.__version__ = '{version}'; import seednorm")
    last = result.stderr.strip().splitlines()[-1]
    assert (
        last == f"ImportError: seednorm needs torch 2.10 or later, this is torch {version}: pip install 'torch>=2.10'"
    )


@pytest.mark.parametrize("version", ["2.10.0", "2.13.0+cpu", "2.15.0a0+git1234", "3.0.0"])
def test_new_torch(version):
    _library.check_torch(version)


GUIDES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs/guide").glob("*.md"))]


@pytest.mark.parametrize("document", ["README.md", "torch-ext/README.md", *GUIDES])
def test_documents(document, tmp_path):
    result = subprocess.run(
        [sys.executable, ROOT / "tests/docs_test.py", ROOT / document, "--work", tmp_path,
         "--only", "python", "--path", pathlib.Path(sys.executable).parent], capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def test_hub_layout_lists_the_sources():
    result = subprocess.run([ROOT / "torch-ext/make_build"], capture_output=True, text=True, check=True)
    build = tomllib.loads(result.stdout)
    listed = {*build["torch"]["src"], *build["kernel"]["core"]["src"]}
    assert all((ROOT / file).is_file() for file in listed)
    assert listed >= {f"core/norms/{name}-inl.h" for name in _library.norm_names()}
    assert listed >= {"core/cpu/norm_unit.cc", "core/src/norm.cc", "core/norms/norms.def", "ops/torch_ops.cc"}
    assert not any(file.endswith((".cuh", ".cu")) or "current_stream" in file for file in listed)


def test_readme_lists_every_norm():
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", readme, re.MULTILINE)
    params = {"gamma(c)": "gamma_c", "eta(c)": "eta_c"}
    listed = {name: [params.get(p, p) for p in text.split(", ")] for name, text in rows if name in _library.norm_names()}
    assert listed == {name: [p.name for p in _library.norm_info(name).params] for name in _library.norm_names()}
