"""The build backend: scikit-build-core's, with the headers of the PyTorch that is already installed.

The operators need headers of PyTorch. If PyTorch were a requirement of the build, pip would fetch it, with gigabytes of CUDA
libraries, into the separate environment that it makes for a build, even where PyTorch is installed. This backend looks
into the environment that the package is installed into, and requires PyTorch only if that has none. `pip install -v`
shows what it found.
"""

import os
import subprocess
import sys
from typing import Any

from scikit_build_core import build as scikit
from scikit_build_core.build import *  # noqa: F403 (the hooks that need no change)

REQUIRED = (2, 10)
TORCH_DIR = "cmake.define.SEEDNORM_TORCH_DIR"

# Found without being imported, which takes seconds.
QUESTION = """
import importlib.metadata, importlib.util
print(importlib.metadata.version("torch"), *importlib.util.find_spec("torch").submodule_search_locations)
"""


def installed_torch() -> str | None:
    """The folder of PyTorch in this interpreter's own environment, if there is one that is new enough."""
    # Without PYTHONPATH, by which pip hides what is installed.
    answer = subprocess.run([sys.executable, "-E", "-c", QUESTION], capture_output=True, text=True, cwd=os.sep)
    if answer.returncode != 0:
        _say(f"PyTorch is not installed for {sys.executable}")
        return None
    version, folder = answer.stdout.strip().split(" ", 1)
    if tuple(int(part) for part in version.split(".")[:2]) < REQUIRED:
        _say(f"expected PyTorch 2.10 or later, found {version} in {folder}")
        return None
    _say(f"building with the headers of PyTorch {version}, which is installed in {folder}")
    return folder


def _say(message: str) -> None:
    print(f"[seednorm] {message}", flush=True)


def _requires(of_scikit: list[str], config_settings: dict[str, Any] | None) -> list[str]:
    if (config_settings or {}).get(TORCH_DIR) or installed_torch():
        return of_scikit
    _say("the build fetches PyTorch, which seednorm also needs at run time; to choose another build, install it first")
    return [*of_scikit, "torch>=2.10"]  # the requirement at run time, so that pip fetches it once


def _with_torch(config_settings: dict[str, Any] | None) -> dict[str, Any]:
    settings = dict(config_settings or {})
    if not settings.get(TORCH_DIR) and (folder := installed_torch()):
        settings[TORCH_DIR] = folder
    return settings


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    return _requires(scikit.get_requires_for_build_wheel(config_settings), config_settings)


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    return _requires(scikit.get_requires_for_build_editable(config_settings), config_settings)


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    return scikit.build_wheel(wheel_directory, _with_torch(config_settings), metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    return scikit.build_editable(wheel_directory, _with_torch(config_settings), metadata_directory)
