"""Each norm's formula in plain PyTorch, to read and to check with.

Written from the equations of arXiv 2510.22777v2 ("the paper") and differentiable as often as you like, on any device.
Rows are the last dimension: x is [..., D]. Sums are in float32 (float64 for float64 data) and the result is rounded
once, to the dtype of x. Every parameter is read in that wider dtype, whatever its own.

Some forms of a parameter show in its shape: None is the form "none", [1] is "scalar", [D] is "vector". The others are
named by an argument: `gamma_form="plus_one"` (the layer uses 1 + gamma), `beta_form="elementwise"`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: Activations of the dynamic coefficient (Figure 4). gelu is the exact (erf) form.
SIGMAS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hardtanh": F.hardtanh,
    "softsign": F.softsign,
    "gelu": F.gelu,
    "silu": F.silu,
    "identity": lambda z: z,
}


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
    keep: Tensor | None = None,
) -> Tensor:
    """SeeDNorm, Eq. 4 and in heads Eq. 7: y = (sigma(x . beta^T) alpha + gamma) x / RMS(x).

    x [..., D]; gamma [D] or None (0); alpha [D], [1] or None (1); beta [D] or None. For dropout see
    `dynamic_coefficient`.
    """
    gain = dynamic_coefficient(
        x, alpha, beta, num_heads, sigma, dot_scale, dropout, training, beta_form=beta_form, keep=keep
    )
    if gamma is not None:
        gain = gain + _gamma(gamma, gamma_form, x)
    return (gain * _normalized(x, eps)).to(x.dtype)


def ada_seed_norm(
    x: Tensor,
    alpha: Tensor | None,
    beta: Tensor | None,
    gamma_c: Tensor,
    eta_c: Tensor,
    num_heads: int = 1,
    eps: float = 1e-6,
    sigma: str = "tanh",
    dot_scale: float = 1.0,
    dropout: float = 0.0,
    training: bool = False,
    *,
    beta_form: str = "vector",
    keep: Tensor | None = None,
) -> Tensor:
    """AdaSeeDNorm, Eq. 8: y = [(sigma(x . beta^T) alpha + 1) x / RMS(x)] (1 + gamma(c)) + eta(c).

    x [samples, ..., D]; gamma_c, eta_c [samples, D] or more dimensions that lead x's: [B, T, D] beside x [B, T, N, D]; or
    of as many as x has, of which the last before D may be 1. alpha, beta as in `seed_norm`.
    """
    coefficient = dynamic_coefficient(
        x, alpha, beta, num_heads, sigma, dot_scale, dropout, training, beta_form=beta_form, keep=keep
    )
    normed = (coefficient + 1) * _normalized(x, eps)
    return (normed * (1 + _per_sample(gamma_c, x)) + _per_sample(eta_c, x)).to(x.dtype)


def rms_norm(x: Tensor, gamma: Tensor | None = None, eps: float = 1e-6, *, gamma_form: str = "vector") -> Tensor:
    """RMSNorm, Eq. 2: y = gamma x / RMS(x). x [..., D]; gamma [D] or None (1)."""
    y = _normalized(x, eps)
    return (y if gamma is None else _gamma(gamma, gamma_form, x) * y).to(x.dtype)


def layer_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """LayerNorm, Eq. 1 over a row: y = gamma (x - mu) / sqrt(sigma^2 + eps) + beta, with the biased variance.

    x [..., D]; gamma [D] or None (1); beta [D] or None (0).
    """
    wide = _wide(x)
    centered = wide - wide.mean(-1, keepdim=True)
    y = centered / torch.sqrt(centered.square().mean(-1, keepdim=True) + eps)
    y = y if gamma is None else _wide(gamma, x) * y
    return (y if beta is None else y + _wide(beta, x)).to(x.dtype)


def dyt(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor) -> Tensor:
    """DyT, Eq. 3: y = gamma tanh(alpha x) + beta. x [..., D]; gamma, beta [D]; alpha [1]."""
    return (_wide(gamma, x) * torch.tanh(_wide(alpha, x) * _wide(x)) + _wide(beta, x)).to(x.dtype)


def derf(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor, shift: Tensor) -> Tensor:
    """Derf (arXiv 2512.10938): y = gamma erf(alpha x + s) + beta. x [..., D]; gamma, beta [D]; alpha, shift (s) [1]."""
    inner = _wide(alpha, x) * _wide(x) + _wide(shift, x)
    return (_wide(gamma, x) * torch.erf(inner) + _wide(beta, x)).to(x.dtype)


def group_layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, num_heads: int = 1, eps: float = 1e-6) -> Tensor:
    """LayerNorm of each of num_heads groups of adjacent columns, which is GroupNorm (arXiv 1803.08494) of a row.

    x [..., D]; gamma, beta [D].
    """
    groups = _wide(x).unflatten(-1, (num_heads, -1))
    centered = groups - groups.mean(-1, keepdim=True)
    normalized = centered / torch.sqrt(centered.square().mean(-1, keepdim=True) + eps)
    return (_wide(gamma, x) * normalized.flatten(-2) + _wide(beta, x)).to(x.dtype)


def dyisru(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor) -> Tensor:
    """DyISRU (arXiv 2503.21708): y = gamma alpha x / sqrt(1 + (alpha x)^2) + beta. x [..., D]; gamma, beta [D]; alpha [1]."""
    inner = _wide(alpha, x) * _wide(x)
    # hypot does not square its arguments, which may be large.
    return (_wide(gamma, x) * (inner / torch.hypot(inner, torch.ones_like(inner))) + _wide(beta, x)).to(x.dtype)


def lan(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor, shift: Tensor, eps: float = 1e-6) -> Tensor:
    """Learnable adaptive normalization: y = gamma (x - shift) / sqrt(max(alpha, 0) + eps) + beta. x [..., D]; the rest [D]."""
    deviation = torch.sqrt(torch.relu(_wide(alpha, x)) + eps)
    return (_wide(gamma, x) * ((_wide(x) - _wide(shift, x)) / deviation) + _wide(beta, x)).to(x.dtype)


def gct(x: Tensor, gamma: Tensor, beta: Tensor, alpha: Tensor, eps: float = 1e-6) -> Tensor:
    """Gated channel transformation (arXiv 1909.11519) of a row: y = x (1 + tanh(gamma e / RMS(e) + beta)), e = alpha |x|.

    x [..., D]; gamma, beta, alpha [D].
    """
    normalized = _normalized(_wide(alpha, x) * _wide(x).abs(), eps)
    return (_wide(x) * (1 + torch.tanh(_wide(gamma, x) * normalized + _wide(beta, x)))).to(x.dtype)


def scale_norm(x: Tensor, gamma: Tensor, eps: float = 1e-6) -> Tensor:
    """ScaleNorm (arXiv 1910.05895): y = g x / max(|x|, eps), |x| the Euclidean length. x [..., D]; gamma (g) [1]."""
    wide = _wide(x)
    # The maximum is taken of the squares: the root of a row of zeros has no finite slope.
    length = wide.square().sum(-1, keepdim=True).clamp(min=eps * eps).sqrt()
    return (_wide(gamma, x) * (wide / length)).to(x.dtype)


def dynamic_coefficient(
    x: Tensor,
    alpha: Tensor | None,
    beta: Tensor | None,
    num_heads: int = 1,
    sigma: str = "tanh",
    dot_scale: float = 1.0,
    dropout: float = 0.0,
    training: bool = False,
    *,
    beta_form: str = "vector",
    keep: Tensor | None = None,
) -> Tensor:
    """sigma(x . beta^T) alpha of Eq. 4 and 7, in the dtype of sums; it broadcasts with x [..., D].

    Without beta (Table 3) it is sigma(x) . alpha^T, one value a row. `dropout` acts on it elementwise, in training
    (Appendix D.2), drawn from PyTorch's generator, or as `keep` [..., D] says: 0 where dropped, 1 / (1 - dropout) where
    not.
    """
    if beta is None:
        act = SIGMAS[sigma](dot_scale * _wide(x))
        coefficient = (act if alpha is None else act * _wide(alpha, x)).sum(-1, keepdim=True)
    else:
        u = sigma_values(x, beta, num_heads, sigma, dot_scale, beta_form=beta_form)
        coefficient = u if alpha is None else u * _wide(alpha, x)
    if keep is not None:
        return coefficient * _wide(keep, x)
    if training and dropout > 0:
        return F.dropout(coefficient.expand_as(x), dropout)
    return coefficient


def sigma_values(
    x: Tensor,
    beta: Tensor,
    num_heads: int = 1,
    sigma: str = "tanh",
    dot_scale: float = 1.0,
    *,
    beta_form: str = "vector",
) -> Tensor:
    """u = sigma(z) of each column, [..., D], in the dtype of sums.

    z is dot_scale x_h . beta_h^T, the same for all columns of head h (Eq. 7; Eq. 4 is one head); with
    `beta_form="elementwise"` (Table 3) it is dot_scale x beta.
    """
    products = _wide(x) * _wide(beta, x)
    if beta_form == "elementwise":
        return SIGMAS[sigma](dot_scale * products)
    width = x.shape[-1] // num_heads
    z = dot_scale * products.unflatten(-1, (num_heads, width)).sum(-1)
    return SIGMAS[sigma](z).repeat_interleave(width, -1)


def dropout_keep(
    rows: int, dim: int, dropout: float, seed: int | Tensor, offset: int | Tensor, device: torch.device | str | None = None
) -> Tensor:
    """The factors [rows, dim] by which the kernels drop, float32: 0 or 1 / (1 - dropout); for `keep` above.

    seed and offset are numbers, or int64 tensors of no dimension, which transforms may have batches of.
    An element's 32 random bits are a function of seed, offset, row and column alone (core/include/seednorm/philox.h):
    Philox 4x32-10 (Salmon et al., SC 2011), whose words serve columns j, 16 + j, 32 + j and 48 + j of a group of 64.
    """
    groups = -(-dim // 64)
    row = torch.arange(rows, dtype=torch.int64, device=device).unsqueeze(1)
    counter = torch.arange(groups * 16, dtype=torch.int64, device=device).expand(rows, -1)
    words = (counter, (row & _MASK).expand_as(counter), ((row >> 32) ^ (offset >> 32 & _MASK)).expand_as(counter))
    last = torch.zeros_like(counter) + (offset & _MASK)
    bits = torch.stack(philox((*words, last), (seed & _MASK, seed >> 32 & _MASK)), -1)
    bits = bits.unflatten(1, (groups, 16)).transpose(2, 3).flatten(1)[:, :dim]
    return (bits >= int(dropout * 2**32)).to(torch.float32) * (1 / (1 - dropout))


def philox(counter: tuple[Tensor, ...], key: tuple[int | Tensor, int | Tensor]) -> tuple[Tensor, ...]:
    """Philox 4x32-10 of four words of counter and two of key, 32 bits each, in int64."""
    for round_ in range(10):
        k0, k1 = (key[0] + round_ * 0x9E3779B9) & _MASK, (key[1] + round_ * 0xBB67AE85) & _MASK
        # The products need 64 bits; int64 wraps, which leaves the bits right.
        p0, p1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = (
            (p1 >> 32 & _MASK) ^ counter[1] ^ k0,
            p1 & _MASK,
            (p0 >> 32 & _MASK) ^ counter[3] ^ k1,
            p0 & _MASK,
        )
    return counter


_MASK = 0xFFFFFFFF


def _wide(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """The tensor in the dtype of sums for data like that: float64 for float64, else float32."""
    dtype = tensor.dtype if like is None else like.dtype
    return tensor.to(torch.promote_types(dtype, torch.float32))


def _normalized(x: Tensor, eps: float) -> Tensor:
    """x / RMS(x), RMS(x) = sqrt(mean of x^2 + eps)."""
    wide = _wide(x)
    return wide / torch.sqrt(wide.square().mean(-1, keepdim=True) + eps)


def _gamma(gamma: Tensor, form: str, x: Tensor) -> Tensor:
    gamma = _wide(gamma, x)
    return 1 + gamma if form == "plus_one" else gamma


def _per_sample(c: Tensor, x: Tensor) -> Tensor:
    """Of c [samples, ..., D], whose leading dimensions are x's, as many dimensions as x has."""
    c = _wide(c, x)
    return c.reshape(*c.shape[:-1], *[1] * (x.ndim - c.ndim), c.shape[-1])
