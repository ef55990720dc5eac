"""Has transformers build converted models with their layers, in every program that imports this package.

A model whose configuration has the member `seednorm` with a list `modules` (see _record.py) would otherwise be built without
these layers: transformers would drop alpha and beta of the checkpoint, and only a line of its report would tell.
"""

import functools
import sys
from typing import Any

import torch
from torch import nn

from . import _record
from ._after_import import after_import
from .modules import _Norm


def build_converted_models() -> None:
    """Changes transformers now if it is imported, else as soon as it is."""
    after_import("transformers.modeling_utils", _change)


@torch.no_grad()
def initialize(layer: _Norm) -> None:
    """Gives their initial values to those parameters of a layer that transformers does not read from a checkpoint."""
    for name, value in layer._initial_values.items():
        parameter = layer.get_parameter(name)
        if not getattr(parameter, "_is_hf_initialized", False):
            parameter.fill_(value)


def _change() -> None:
    base = sys.modules["transformers.modeling_utils"].PreTrainedModel
    post_init, initialize_weights = base.post_init, base._initialize_weights

    @functools.wraps(post_init)
    def rebuild_first(self: Any, *args: Any, **kwargs: Any) -> None:
        if _record.has_layers(self):
            from . import hf  # noqa: F401: raises ImportError if transformers is too old

            _record.rebuild(self)
        post_init(self, *args, **kwargs)

    @functools.wraps(initialize_weights)
    def initialize_ours(self: Any, module: nn.Module, *args: Any, **kwargs: Any) -> None:
        if isinstance(module, _Norm) and not getattr(module, "_is_hf_initialized", False):
            initialize(module)
            module._is_hf_initialized = True  # type: ignore[assignment]
        else:
            initialize_weights(self, module, *args, **kwargs)

    base.post_init, base._initialize_weights = rebuild_first, initialize_ours
