"""Parameters named beta inside of modules named LayerNorm, in transformers 4.

transformers 4 takes ".LayerNorm.beta" and ".LayerNorm.gamma" in a checkpoint for TensorFlow's names and renames them to
bias and weight, whatever the module is. The model then misses its beta, which keeps what was in memory, and only a
warning tells. Version 5 renames them only where the model says so.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

from torch import nn


def keep_names(kind: type[nn.Module]) -> None:
    """If transformers 4 is loaded, makes it keep the names of parameters of modules of this kind. Cheap when repeated."""
    utils = sys.modules.get("transformers.modeling_utils")
    mapping = getattr(getattr(utils, "PreTrainedModel", None), "_get_key_renaming_mapping", None)
    if mapping is None or hasattr(mapping, "keeps_names"):
        return
    utils.PreTrainedModel._get_key_renaming_mapping = _keeping(mapping, kind)


def _keeping(mapping: Callable[..., dict[str, str]], kind: type[nn.Module]) -> Callable[..., dict[str, str]]:
    @functools.wraps(mapping)
    def keeping(model: nn.Module, *arguments: Any, **named: Any) -> dict[str, str]:
        renamed = mapping(model, *arguments, **named)
        ours = {name: module for name, module in model.named_modules() if isinstance(module, kind)}
        for old, new in renamed.items():
            module = new.rpartition(".")[0]
            leaf = old.rpartition(".")[2]
            if leaf in ("beta", "gamma") and module in ours and leaf in ours[module]._parameters:
                renamed[old] = f"{module}.{leaf}"
        return renamed

    keeping.keeps_names = True  # type: ignore[attr-defined]
    return keeping
