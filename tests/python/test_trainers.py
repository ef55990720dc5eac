"""seednorm.integrations in the real trainers: each program of trainers/ runs in one of them.

NAME_steps.py trains a few steps in one process; torchrun starts NAME_ranks.py in two. script/setup-torch installs the
trainers in build/trainers and build/timm, without the dependencies that no test needs.
"""

import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest
import seednorm

HERE = pathlib.Path(__file__).parent
PROGRAMS = sorted(path.stem for kind in ("steps", "ranks") for path in (HERE / "trainers").glob(f"*_{kind}.py"))
SECONDS = 240  # on a machine that does nothing else a program takes 5 to 15

# No program needs a network. Without the last of these, Gloo looks for an interface that the machine's name resolves to.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "GLOO_SOCKET_IFNAME": "lo"}
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0",
            "--local-addr=127.0.0.1", "--no-python", sys.executable]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_trainer(program):
    build = HERE.parents[1] / "build"
    # Only timm imports torchvision, whose wheel has no operators for PyTorch's CPU build.
    installed = str(build / "timm") if program == "timm_steps" else str(build / "trainers")
    # At the end of the path, so that no installed package is replaced.
    start = f"import runpy, sys; sys.path.append({installed!r}); sys.path.insert(0, {str(HERE / 'trainers')!r}); "
    start += f"runpy.run_path({str(HERE / 'trainers' / program)!r} + '.py', run_name='__main__')"
    command = [sys.executable, *(TORCHRUN if program.endswith("_ranks") else []), "-c", start]
    process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        printed, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes when it is asked to end, not when it is killed
        pytest.fail(f"{program} did not end within {SECONDS} seconds; it printed:\n{process.communicate()[0]}")
    skipped = [line for line in printed.splitlines() if line.startswith("skipped: ")]
    if process.returncode != 0 and skipped:
        pytest.skip(skipped[0].removeprefix("skipped: "))
    assert process.returncode == 0, printed


def test_the_readmes_table_names_what_exists():
    """The trainers need not be installed for this, so it reads the sources. The programs above run each of them."""
    readme = (HERE.parents[1] / "README.md").read_text()
    named = set(re.findall(r"seednorm\.integrations\.(\w+)\.(\w+)", readme))
    package = pathlib.Path(seednorm.__file__).parent / "integrations"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert {module for module, _ in named} == modules
    for module, name in named:
        tree = ast.parse((package / f"{module}.py").read_text())
        assert name in {getattr(node, "name", None) for node in tree.body}, f"{module} has no {name}"
        programs = [path.read_text() for path in (HERE / "trainers").glob(f"{module}_*.py")]
        assert any(re.search(rf"\b{name}\b", program) for program in programs), f"no program uses {name} of {module}"


def test_the_guide_names_the_versions_that_are_tested():
    guide = (HERE.parents[1] / "docs/guide/trainers.md").read_text()
    lists = [HERE / "trainers/requirements.txt", HERE / "requirements.txt", HERE.parent / "lab/vision/requirements.txt"]
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", "\n".join(path.read_text() for path in lists), re.MULTILINE))
    for package in ("accelerate", "ai2-olmo-core", "megatron-core", "peft", "timm", "torchtitan", "transformers"):
        assert re.search(rf"(?<![\d.]){re.escape(pinned[package])}(?![\d.]*\d)", guide), (package, pinned[package])
