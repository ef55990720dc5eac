"""The formulas of the paper (arXiv 2510.22777v2) as they are printed, for one row, in float64 and with eps = 0.

A row is a tensor [D]; where the paper writes a row vector of shape 1 x D, `row` gives it. A Jacobian J is [D, D] with
J[k, l] = dy_k / dp_l, so that the gradient of a loss is g . J (Eq. 17). H is the number of heads, n in the paper.
"""

import torch
from torch import Tensor

U = 2.0**-53  # the unit roundoff of float64


def rms(x: Tensor) -> Tensor:
    """RMS(x) of Eq. 15, which leaves eps out."""
    return torch.sqrt((x * x).sum() / x.numel())


def heads(x: Tensor, num_heads: int) -> list[Tensor]:
    """[x_h1, ..., x_hn] of Eq. 7."""
    return list(x.chunk(num_heads))


def rescale(x: Tensor, beta: Tensor, num_heads: int = 1, sigma=torch.tanh) -> Tensor:
    """sigma([x_h1 . beta_h1^T, ...]) of Eq. 7, each value repeated over the columns of its head: [D]."""
    values = [
        sigma((xh * bh).sum()).expand(xh.numel())
        for xh, bh in zip(heads(x, num_heads), heads(beta, num_heads), strict=True)
    ]
    return torch.cat(values)


def seed_norm(x: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor, num_heads: int = 1, sigma=torch.tanh) -> Tensor:
    """Eq. 4, and Eq. 7 with several heads."""
    return (rescale(x, beta, num_heads, sigma) * alpha + gamma) * (x / rms(x))


def ada_seed_norm(x: Tensor, alpha: Tensor, beta: Tensor, gamma_c: Tensor, eta_c: Tensor) -> Tensor:
    """Eq. 8."""
    return ((rescale(x, beta) * alpha + 1) * (x / rms(x))) * (1 + gamma_c) + eta_c


def dyt(x: Tensor, alpha: Tensor | float, gamma: Tensor, beta: Tensor) -> Tensor:
    """Eq. 3."""
    return gamma * torch.tanh(alpha * x) + beta


def slope(z: Tensor) -> Tensor:
    """sigma'(z) = 1 - tanh^2(z), Eq. 21."""
    return 1 - torch.tanh(z) ** 2


def row(v: Tensor) -> Tensor:
    return v.reshape(1, -1)


def same_head(dim: int, num_heads: int) -> Tensor:
    """delta_ij of Eq. 19 to 28: 1 where columns k and l belong to the same head, [D, D]."""
    head = torch.arange(dim) // (dim // num_heads)
    return (head[:, None] == head[None, :]).double()


def last_two_terms(x: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
    """The second and third term of Eq. 26, which Eq. 28 shares."""
    ones = torch.ones(1, x.numel(), dtype=x.dtype)
    scale = row(s + gamma).T @ ones / (x.numel() * rms(x) ** 3)
    return torch.diag(s + gamma) / rms(x) - scale * (row(x).T @ row(x))


def beta_rows(x: Tensor, beta: Tensor, num_heads: int, of: Tensor) -> Tensor:
    """[sigma'(x_h1 . beta_h1^T) v_h1 ... sigma'(x_hn . beta_hn^T) v_hn] of Eq. 22 (v = x) and Eq. 28 (v = beta): 1 x D."""
    return row(rescale(x, beta, num_heads, slope) * of)


def jacobian_alpha(x: Tensor, beta: Tensor, num_heads: int = 1) -> Tensor:
    """Eq. 18 and 19 by their last line with indices: sigma(x . beta^T) r_k delta_kl."""
    return torch.diag(rescale(x, beta, num_heads) * (x / rms(x)))


def jacobian_beta(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Eq. 20 and 21, one head."""
    return slope((x * beta).sum()) * (row(alpha * x / rms(x)).T @ row(x))


def jacobian_beta_printed(x: Tensor, alpha: Tensor, beta: Tensor, num_heads: int) -> Tensor:
    """The last line of Eq. 22."""
    return row(alpha * x / rms(x)).T @ beta_rows(x, beta, num_heads, x)


def jacobian_x(x: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
    """Eq. 26, one head."""
    first = slope((x * beta).sum()) * (row(alpha * x / rms(x)).T @ row(beta))
    return first + last_two_terms(x, rescale(x, beta) * alpha, gamma)


def jacobian_x_printed(x: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor, num_heads: int) -> Tensor:
    """Eq. 28."""
    first = row(alpha * x / rms(x)).T @ beta_rows(x, beta, num_heads, beta)
    return first + last_two_terms(x, rescale(x, beta, num_heads) * alpha, gamma)
