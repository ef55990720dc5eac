"""Normalization layers for PyTorch: SeeDNorm (arXiv 2510.22777), whose gain depends on the input, and its siblings.

    norm = seednorm.SeeDNorm(768)                      # in place of torch.nn.RMSNorm(768)
    y, stream = norm(branch, residual=stream)          # stream + branch, and its norm, in one pass

`seednorm.functional` has the layers as functions, `seednorm.reference` their formulas in plain PyTorch.
"""

from . import _transformers, functional, modules, reference
from ._library import version as _version
from ._pretrained import from_pretrained
from ._self_contained import save_pretrained
from .convert import convert
from .modules import *  # noqa: F403: the layers, modules.__all__
from .param_groups import check_decay, check_param_groups, param_groups
from .stats import stats

_transformers.build_converted_models()

__version__ = _version()

__all__ = [
    "check_decay",
    "check_param_groups",
    "convert",
    "from_pretrained",
    "functional",
    "param_groups",
    "reference",
    "save_pretrained",
    "stats",
]
__all__ += modules.__all__
