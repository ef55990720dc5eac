"""A model whose RMSNorms became SeeDNorm (arXiv 2510.22777), in plain PyTorch; with the package seednorm, on its kernels.

Written by seednorm.save_pretrained. The member `seednorm` of config.json says which modules are which layer.
"""

import torch
import torch.nn.functional as F
import transformers
from torch import nn

try:
    import seednorm
except ImportError:
    seednorm = None

SIGMAS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hardtanh": F.hardtanh,
    "softsign": F.softsign,
    "gelu": F.gelu,
    "silu": F.silu,
    "identity": lambda z: z,
}


class RMSNorm(nn.Module):
    """y = gamma x / RMS(x), in float32."""

    def __init__(self, dim, eps=1e-6, gamma_form="vector", device=None, dtype=None):
        super().__init__()
        self.dim, self.eps, self.gamma_form = dim, eps, gamma_form
        one = 0.0 if gamma_form == "plus_one" else 1.0
        weight = None if gamma_form == "none" else nn.Parameter(torch.full((dim,), one, device=device, dtype=dtype))
        self.register_parameter("weight", weight)

    def forward(self, x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (self.gain(wide) * normed).to(x.dtype)

    def gain(self, x):
        if self.weight is None:
            return self.without_weight
        gamma = self.weight.to(x.dtype)
        return 1 + gamma if self.gamma_form == "plus_one" else gamma

    without_weight = 1.0


class SeeDNorm(RMSNorm):
    """y = (sigma(x . beta) alpha + gamma) x / RMS(x), Eq. 4 and 7 of the paper."""

    without_weight = 0.0

    def __init__(
        self,
        dim,
        num_heads=1,
        alpha_init=1.0,
        eps=1e-6,
        sigma="tanh",
        dot_scale=1.0,
        dropout=0.0,
        gamma_form="vector",
        alpha_form="vector",
        beta_form="vector",
        device=None,
        dtype=None,
    ):
        super().__init__(dim, eps, gamma_form, device, dtype)
        self.num_heads, self.sigma, self.dot_scale, self.dropout = num_heads, sigma, dot_scale, dropout
        self.beta_form = beta_form
        shape = (1,) if alpha_form == "scalar" else (dim,)
        alpha = None if alpha_form == "none" else nn.Parameter(torch.full(shape, alpha_init, device=device, dtype=dtype))
        beta = None if beta_form == "none" else nn.Parameter(torch.zeros(dim, device=device, dtype=dtype))
        self.register_parameter("alpha", alpha)
        self.register_parameter("beta", beta)

    def gain(self, x):
        alpha = 1.0 if self.alpha is None else self.alpha.to(x.dtype)
        sigma = SIGMAS[self.sigma]
        if self.beta is None:
            coefficient = (sigma(self.dot_scale * x) * alpha).sum(-1, keepdim=True)
        elif self.beta_form == "elementwise":
            coefficient = sigma(self.dot_scale * x * self.beta.to(x.dtype)) * alpha
        else:
            z = (x * self.beta.to(x.dtype)).unflatten(-1, (self.num_heads, -1)).sum(-1)
            coefficient = sigma(self.dot_scale * z).repeat_interleave(self.dim // self.num_heads, -1) * alpha
        if self.training and self.dropout > 0:
            coefficient = F.dropout(coefficient.expand_as(x), self.dropout)
        return coefficient + super().gain(x)


LAYERS = {"seed_norm": SeeDNorm, "rms_norm": RMSNorm}
if seednorm is not None:
    LAYERS = {"seed_norm": seednorm.SeeDNorm, "rms_norm": seednorm.RMSNorm}


def matches(pattern, name):
    """A star stands for one number."""
    parts, names = pattern.split("."), name.split(".")
    return len(parts) == len(names) and all(p == n or (p == "*" and n.isdigit()) for p, n in zip(parts, names))


def rebuild(model):
    """Puts in the layers that config.json names."""
    new = {}
    for name, old in list(model.named_modules(remove_duplicate=False)):
        for entry in model.config.seednorm["modules"]:
            if isinstance(old, LAYERS[entry["norm"]]) or not any(matches(p, name) for p in entry["names"]):
                continue
            if old not in new:
                like = next(old.parameters(), None)
                place = {} if like is None else dict(device=like.device, dtype=like.dtype)
                new[old] = LAYERS[entry["norm"]](entry["dim"], **entry["options"], **place)
                for param in entry.get("frozen", []):
                    new[old].get_parameter(param).requires_grad_(False)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, new[old])


class _Rebuilt:
    """Puts in the layers before transformers looks at the model."""

    def post_init(self):
        rebuild(self)
        super().post_init()
