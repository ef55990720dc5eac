"""The operators in plain PyTorch, for what the kernels cannot do: transforms, and derivatives of any order."""

from typing import Any

import torch
from torch import Tensor

from . import _library, reference
from ._schema import ADD_FORWARD, BACKWARD, Norm


def outputs(norm: Norm, kind: int, a: dict[str, Any]) -> tuple[Tensor | None, ...]:
    """What an operator returns but for stats, from its arguments by name; in backward None stands for no parameter."""
    if kind == BACKWARD:
        return _backward(norm, a)
    if kind == ADD_FORWARD:
        total = a["x"] + a["residual"]
        return forward(norm, {**a, "x": total}), total
    return (forward(norm, a),)


def forward(norm: Norm, a: dict[str, Any]) -> Tensor:
    """y, by seednorm.reference with the operator's options."""
    named = {name: a[name] for name in norm.options}
    if "sigma" in named:
        named["sigma"] = _library.SIGMAS[named["sigma"]]
    if named.pop("plus_one", False):
        named["gamma_form"] = "plus_one"
    if named.pop("elementwise", False):
        named["beta_form"] = "elementwise"
    dropout = named.pop("dropout", 0.0)
    x, seed = a["x"], a.get("seed")
    if seed is not None and dropout > 0:
        rows = x.numel() // x.shape[-1]
        kept = reference.dropout_keep(rows, x.shape[-1], dropout, seed[0], seed[1], x.device) != 0
        named["keep"] = kept.view(x.shape).to(torch.promote_types(x.dtype, torch.float32)) / (1 - dropout)
    return getattr(reference, norm.name)(x, *[a[param] for param in norm.params], **named)


def _backward(norm: Norm, a: dict[str, Any]) -> tuple[Tensor | None, ...]:
    given = [name for name in ("x", *norm.params) if a[name] is not None]

    def y(*values: Tensor) -> Tensor:
        return forward(norm, {**a, **dict(zip(given, values, strict=True))})

    grads = dict(zip(given, torch.func.vjp(y, *[a[name] for name in given])[1](a["dy"]), strict=True))
    dx = grads["x"] if a.get("dsum") is None else grads["x"] + a["dsum"]
    return (dx, *[grads.get(param) for param in norm.params])
