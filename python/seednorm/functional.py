"""The layers as functions of tensors: forward and backward are one pass over memory each.

Shapes: x [..., D], whose last dimension is the row; gamma, alpha, beta [D] unless said otherwise. The result has the
shape and dtype of x: float32, bfloat16, float16 or float64. Parameters may have another dtype than x, though float64
only beside float64: nothing is cast (but beside float64, to it), and autocast leaves these functions alone, since sums
are in float32 (float64 for float64) whatever the dtype of x. Kept for backward: x, and a few numbers a row. A second derivative goes through the formula in
plain PyTorch.

Errors are ValueError "[layer] argument: expected ..., got ...".
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from ._library import SIGMAS, index_of
from ._ops import run
from ._schema import ADD_FORWARD, FORWARD, NORMS

_F = TypeVar("_F", bound=Callable[..., Any])


def _overridable(function: _F) -> _F:
    """The function, which tensors of other classes and torch.fx's proxies can take over, as they can torch.nn's."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        tensors = (*args, *kwargs.values())
        if has_torch_function(tensors):
            return handle_torch_function(call, tensors, *args, **kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


@_overridable
def seed_norm(
    x: Tensor,
    gamma: Tensor | None,
    alpha: Tensor | None,
    beta: Tensor | None,
    num_heads: int = 1,
    eps: float = 1e-6,
    sigma: str = "tanh",
    dot_scale: float = 1.0,
    dropout: float = 0.0,
    training: bool = False,
    *,
    gamma_form: str = "vector",
    beta_form: str = "vector",
) -> Tensor:
    """SeeDNorm (arXiv 2510.22777, Eq. 4; Eq. 7 with heads).

        y_i = (sigma(z_h) alpha_i + gamma_i) x_i / sqrt(mean(x^2) + eps),    z_h = dot_scale sum_{i in h} x_i beta_i

    gamma [D], or None for 0; `gamma_form="plus_one"` uses 1 + gamma. alpha [D], [1], or None for 1. beta [D], or None
    for one value a row, sigma(x) . alpha^T; `beta_form="elementwise"` uses sigma(x_i beta_i) (Table 3). num_heads
    divides D. sigma is one of tanh, sigmoid, hardtanh, softsign, gelu, silu, identity. In training, dropout acts
    elementwise on sigma(z) alpha, drawn from PyTorch's generator; no mask is kept.
    """
    options = _seed_options("seed_norm", x, num_heads, eps, sigma, dot_scale, dropout, training)
    forms = _seed_forms(gamma_form, beta_form)
    return run(NORMS["seed_norm"], FORWARD, x=x, gamma=gamma, alpha=alpha, beta=beta, **options, **forms)[0]


@_overridable
def add_seed_norm(
    x: Tensor,
    residual: Tensor,
    gamma: Tensor | None,
    alpha: Tensor | None,
    beta: Tensor | None,
    num_heads: int = 1,
    eps: float = 1e-6,
    sigma: str = "tanh",
    dot_scale: float = 1.0,
    dropout: float = 0.0,
    training: bool = False,
    *,
    gamma_form: str = "vector",
    beta_form: str = "vector",
) -> tuple[Tensor, Tensor]:
    """(seed_norm(x + residual, ...), x + residual) in one pass; residual has the shape of x."""
    x, residual = _same_dtype(x, residual)
    options = _seed_options("seed_norm", x, num_heads, eps, sigma, dot_scale, dropout, training)
    params = dict(gamma=gamma, alpha=alpha, beta=beta, **_seed_forms(gamma_form, beta_form))
    return run(NORMS["seed_norm"], ADD_FORWARD, x=x, residual=residual, **params, **options)


@_overridable
def ada_seed_norm(
    x: Tensor,
    alpha: Tensor | None,
    beta: Tensor,
    gamma_c: Tensor,
    eta_c: Tensor,
    num_heads: int = 1,
    eps: float = 1e-6,
    sigma: str = "tanh",
    dot_scale: float = 1.0,
    dropout: float = 0.0,
    training: bool = False,
) -> Tensor:
    """AdaSeeDNorm (Eq. 8): y = [(sigma(z) alpha + 1) x / RMS(x)] (1 + gamma(c)) + eta(c).

    x [B, ..., D]; gamma_c and eta_c, of the condition, [B, D] or [B, 1, D]; the rest as in `seed_norm`. Conditions of
    more dimensions go with the first of x: [B, T, D] beside x [B, T, N, D].
    """
    options = _seed_options("ada_seed_norm", x, num_heads, eps, sigma, dot_scale, dropout, training)
    params = dict(alpha=alpha, beta=beta, gamma_c=gamma_c, eta_c=eta_c)
    return run(NORMS["ada_seed_norm"], FORWARD, x=x, **params, **options)[0]


@_overridable
def rms_norm(x: Tensor, gamma: Tensor | None = None, eps: float = 1e-6, *, gamma_form: str = "vector") -> Tensor:
    """RMSNorm: y = gamma x / sqrt(mean(x^2) + eps). gamma [D], or None for 1; `gamma_form="plus_one"`: 1 + gamma."""
    plus_one = _form("rms_norm", "gamma", gamma_form, "plus_one")
    return run(NORMS["rms_norm"], FORWARD, x=x, gamma=gamma, eps=eps, plus_one=plus_one)[0]


@_overridable
def add_rms_norm(
    x: Tensor, residual: Tensor, gamma: Tensor | None = None, eps: float = 1e-6, *, gamma_form: str = "vector"
) -> tuple[Tensor, Tensor]:
    """(rms_norm(x + residual, ...), x + residual) in one pass; residual has the shape of x."""
    x, residual = _same_dtype(x, residual)
    plus_one = _form("rms_norm", "gamma", gamma_form, "plus_one")
    return run(NORMS["rms_norm"], ADD_FORWARD, x=x, residual=residual, gamma=gamma, eps=eps, plus_one=plus_one)


@_overridable
def layer_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """LayerNorm: y = gamma (x - mean) / sqrt(variance + eps) + beta. gamma [D] or None (1), beta [D] or None (0)."""
    return run(NORMS["layer_norm"], FORWARD, x=x, gamma=gamma, beta=beta, eps=eps)[0]


@_overridable
def add_layer_norm(
    x: Tensor, residual: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, eps: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """(layer_norm(x + residual, ...), x + residual) in one pass; residual has the shape of x."""
    x, residual = _same_dtype(x, residual)
    return run(NORMS["layer_norm"], ADD_FORWARD, x=x, residual=residual, gamma=gamma, beta=beta, eps=eps)


@_overridable
def dyt(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor) -> Tensor:
    """Dynamic Tanh (arXiv 2503.10622): y = gamma tanh(alpha x) + beta. gamma, beta [D]; alpha [1]."""
    return run(NORMS["dyt"], FORWARD, x=x, gamma=gamma, beta=beta, alpha=alpha)[0]


@_overridable
def derf(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor, shift: Tensor) -> Tensor:
    """Dynamic erf (arXiv 2512.10938): y = gamma erf(alpha x + shift) + beta. gamma, beta [D]; alpha, shift [1]."""
    return run(NORMS["derf"], FORWARD, x=x, gamma=gamma, beta=beta, alpha=alpha, shift=shift)[0]


@_overridable
def group_layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, num_heads: int = 1, eps: float = 1e-6) -> Tensor:
    """LayerNorm of each of num_heads groups of adjacent columns, which is GroupNorm (arXiv 1803.08494) of a row. All [D]."""
    return run(NORMS["group_layer_norm"], FORWARD, x=x, gamma=gamma, beta=beta, num_heads=num_heads, eps=eps)[0]


@_overridable
def dyisru(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor) -> Tensor:
    """DyISRU (arXiv 2503.21708): y = gamma alpha x / sqrt(1 + (alpha x)^2) + beta. gamma, beta [D]; alpha [1]."""
    return run(NORMS["dyisru"], FORWARD, x=x, gamma=gamma, beta=beta, alpha=alpha)[0]


@_overridable
def lan(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor, shift: Tensor, eps: float = 1e-6) -> Tensor:
    """Learnable adaptive normalization: y = gamma (x - shift) / sqrt(max(alpha, 0) + eps) + beta. All parameters [D]."""
    return run(NORMS["lan"], FORWARD, x=x, gamma=gamma, beta=beta, alpha=alpha, shift=shift, eps=eps)[0]


@_overridable
def gct(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor, eps: float = 1e-6) -> Tensor:
    """Gated channel transformation (arXiv 1909.11519): y = x (1 + tanh(gamma e / RMS(e) + beta)), e = alpha |x|. All [D]."""
    return run(NORMS["gct"], FORWARD, x=x, gamma=gamma, beta=beta, alpha=alpha, eps=eps)[0]


@_overridable
def scale_norm(x: Tensor, gamma: Tensor, eps: float = 1e-6) -> Tensor:
    """ScaleNorm (arXiv 1910.05895): y = gamma x / max(|x|, eps), |x| the Euclidean length. gamma [1]."""
    return run(NORMS["scale_norm"], FORWARD, x=x, gamma=gamma, eps=eps)[0]


def _seed_options(
    layer: str, x: Tensor, num_heads: int, eps: float, sigma: str, dot_scale: float, dropout: float, training: bool
) -> dict[str, Any]:
    """What the operators of SeeDNorm and AdaSeeDNorm take."""
    sigma_index = index_of(layer, "sigma", sigma, SIGMAS)
    seed = None
    if training and dropout > 0:
        if hasattr(x, "device_mesh"):
            raise ValueError(
                f"[{layer}] dropout: expected 0 for a DTensor, of which rows on two ranks would drop alike, got {dropout}"
            )
        seed = torch.randint(-(2**63), 2**63 - 1, (2,), dtype=torch.int64, device=x.device)
    return dict(num_heads=num_heads, eps=eps, sigma=sigma_index, dot_scale=dot_scale, dropout=dropout, seed=seed)


def _seed_forms(gamma_form: str, beta_form: str) -> dict[str, bool]:
    return dict(
        plus_one=_form("seed_norm", "gamma", gamma_form, "plus_one"),
        elementwise=_form("seed_norm", "beta", beta_form, "elementwise"),
    )


def _form(layer: str, param: str, form: str, special: str) -> bool:
    """Whether the parameter has its special form; the others show in its shape."""
    if form != "vector" and form != special:
        raise ValueError(
            f"[{layer}] {param}_form: expected 'vector' or {special!r}, got {form!r}; [1] and None need no name"
        )
    return form == special


def _same_dtype(x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Of the dtype that x + residual would have; under autocast, branches are often narrower than the stream."""
    if x.dtype == residual.dtype:
        return x, residual
    dtype = torch.promote_types(x.dtype, residual.dtype)
    return x.to(dtype), residual.to(dtype)
