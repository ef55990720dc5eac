"""seednorm.integrations in the real trainers: each program of trainers/ trains a few steps in one of them.

script/setup-torch installs the trainers in build/trainers and build/timm, without the dependencies that no test needs.
"""

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
SKIPPED = 77  # as in trainers/steps.py
SECONDS = 240  # a program takes 5 on a machine that does nothing else

# No program needs a network. Gloo would otherwise look for an interface that the machine's name resolves to.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "GLOO_SOCKET_IFNAME": "lo"}


@pytest.mark.parametrize("program", sorted(path.stem for path in (HERE / "trainers").glob("*_steps.py")))
def test_trainer(program):
    build = HERE.parents[1] / "build"
    # Only timm imports torchvision, whose wheel has no operators for PyTorch's CPU build.
    installed = str(build / "timm") if program == "timm_steps" else str(build / "trainers")
    # At the end of the path, so that no installed package is replaced.
    start = f"import runpy, sys; sys.path.append({installed!r}); sys.path.insert(0, {str(HERE / 'trainers')!r}); "
    start += f"runpy.run_path({str(HERE / 'trainers' / program)!r} + '.py', run_name='__main__')"
    try:
        result = subprocess.run([sys.executable, "-c", start], env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=SECONDS)  # fmt: skip
    except subprocess.TimeoutExpired as expired:
        printed = b"".join(filter(None, (expired.stdout, expired.stderr))).decode(errors="replace")
        pytest.fail(f"{program} did not end within {SECONDS} seconds; it printed:\n{printed}")
    if result.returncode == SKIPPED:
        pytest.skip(result.stdout.strip().splitlines()[-1])
    assert result.returncode == 0, result.stdout + result.stderr
