"""Distances in units in the last place."""

import torch
from torch import Tensor


def ulps(a: Tensor, b: Tensor) -> Tensor:
    """|a - b| in ULP of their dtype, those of the larger of each two values."""
    assert a.dtype == b.dtype and a.shape == b.shape
    info = torch.finfo(a.dtype)
    size = torch.maximum(a.abs(), b.abs()).double().clamp(min=info.tiny)
    return (a.double() - b.double()).abs() / (torch.exp2(torch.floor(torch.log2(size))) * info.eps)


def assert_ulps(a: Tensor, b: Tensor, bound: float) -> None:
    worst = ulps(a, b).max().item()
    assert worst <= bound, f"{worst} ULP, bound {bound}"
