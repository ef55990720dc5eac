"""The layers as modules, each in one line in place of torch.nn.RMSNorm or LayerNorm.

`dim` is the width D of a row; (D,) is taken too. Parameters are float32 unless `dtype` says otherwise, and may stay so
beside bfloat16 data: the kernels convert as they read. `forward(x, residual)` of SeeDNorm, RMSNorm and LayerNorm adds in the same pass and returns (y, x + residual).
Errors: ValueError "[layer] argument: expected ..., got ...".
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from . import _library, _transformers4
from . import functional as F

Width = int | Sequence[int]  # D, or as torch's layers take it (D,)

__all__ = ["GCT", "LAN", "AdaSeeDNorm", "Derf", "DyISRU", "DyT", "GroupLayerNorm", "LayerNorm", "RMSNorm", "ScaleNorm", "SeeDNorm"]


class _Norm(nn.Module):
    """What the layers share: the library says which parameters they have, their names and their initial values."""

    name: str  # of the norm in the library
    info: ClassVar[_library.NormInfo]
    roles: ClassVar[dict[str, str]]  # of the parameters that the layer owns, by their names in it

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "name" in cls.__dict__:
            cls.info = _library.norm_info(cls.name)
            cls.roles = {p.state_name: p.role for p in cls.info.params if p.shape != "per_sample"}

    def __init__(
        self, dim: Width, device: torch.device | str | None, dtype: torch.dtype | None, **options: object
    ) -> None:
        super().__init__()
        _transformers4.keep_names(_Norm)
        self.dim = dim = _library.width_of(self.name, dim)
        self._initial_values: dict[str, float] = {}
        names = {p.name: p.state_name for p in self.info.params if p.shape != "per_sample"}  # those come with the data
        params = _library.params_of(self.name, dim, **options)
        for param, (kind, value) in params.items():
            if param not in names:
                continue
            shape = (dim,) if kind == "vector" else (1,)
            self.register_parameter(names[param], nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
            self._initial_values[names[param]] = value
        for param in names.keys() - params.keys():
            self.register_parameter(names[param], None)

    def _param(self, name: str) -> Any:
        """self.NAME, which nn.Module takes a microsecond to find; what is set in a parameter's place still counts."""
        parameters = self._parameters
        return parameters[name] if name in parameters else getattr(self, name)

    def reset_parameters(self) -> None:
        """Sets every parameter to where training starts."""
        with torch.no_grad():
            for name, value in self._initial_values.items():
                self.get_parameter(name).fill_(value)


class SeeDNorm(_Norm):
    """SeeDNorm (arXiv 2510.22777, Eq. 4 and 7): y = (sigma(x . beta) alpha + gamma) x / RMS(x).

    x [..., dim] -> [..., dim]. Parameters: `weight` (gamma) [dim], 1; `alpha` [dim], alpha_init; `beta` [dim], 0, so
    that it starts as RMSNorm, bit for bit. num_heads divides dim. dropout acts on sigma(x . beta) alpha in training.
    Forms (Table 3): gamma_form vector, plus_one (1 + weight) or none; alpha_form vector, scalar ([1]) or none;
    beta_form vector, elementwise or none.

    Weight decay belongs on alpha and beta (Section 3): see `seednorm.param_groups`.
    """

    name = "seed_norm"
    weight: nn.Parameter | None
    alpha: nn.Parameter | None
    beta: nn.Parameter | None

    def __init__(
        self,
        dim: Width,
        num_heads: int = 1,
        alpha_init: float = 1.0,
        eps: float = 1e-6,
        sigma: str = "tanh",
        dot_scale: float = 1.0,
        dropout: float = 0.0,
        *,
        gamma_form: str = "vector",
        alpha_form: str = "vector",
        beta_form: str = "vector",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        forms = {"gamma": gamma_form, "alpha": alpha_form, "beta": beta_form}
        options = {"num_heads": num_heads, "eps": eps, "sigma": sigma, "dot_scale": dot_scale, "dropout": dropout}
        super().__init__(dim, device, dtype, **options, **forms)
        self.num_heads, self.alpha_init, self.eps, self.sigma = num_heads, alpha_init, eps, sigma
        self.dot_scale, self.dropout = dot_scale, dropout
        self.gamma_form, self.alpha_form, self.beta_form = gamma_form, alpha_form, beta_form
        self._forms: dict[str, Any] = {
            "gamma_form": "plus_one" if gamma_form == "plus_one" else "vector",
            "beta_form": "elementwise" if beta_form == "elementwise" else "vector",
        }
        if self.alpha is not None:
            self._initial_values["alpha"] = _library.real_of(self.name, "alpha_init", alpha_init)
        self.reset_parameters()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """y, or with a residual (y, x + residual)."""
        arguments = (
            self._param("weight"), self._param("alpha"), self._param("beta"), self.num_heads, self.eps, self.sigma,
            self.dot_scale, self.dropout, self.training,
        )  # fmt: skip
        if residual is None:
            return F.seed_norm(x, *arguments, **self._forms)
        return F.add_seed_norm(x, residual, *arguments, **self._forms)

    def extra_repr(self) -> str:
        changed = [f"{self.dim}", f"num_heads={self.num_heads}", f"alpha_init={self.alpha_init}", f"eps={self.eps}"]
        defaults = {"sigma": "tanh", "dot_scale": 1.0, "dropout": 0.0}
        defaults |= {f"{param}_form": "vector" for param in ("gamma", "alpha", "beta")}
        changed += [f"{k}={getattr(self, k)}" for k, v in defaults.items() if getattr(self, k) != v]
        return ", ".join(changed)


class AdaSeeDNorm(_Norm):
    """AdaSeeDNorm (Eq. 8): y = [(sigma(x . beta) alpha + 1) x / RMS(x)] (1 + gamma(c)) + eta(c).

    forward(x, gamma_c, eta_c): x [B, ..., dim], gamma_c and eta_c [B, dim] or [B, 1, dim], made of the condition by
    the model. Parameters: `alpha` [dim], alpha_init; `beta` [dim], 0. Options as in SeeDNorm.
    """

    name = "ada_seed_norm"
    alpha: nn.Parameter | None
    beta: nn.Parameter

    def __init__(
        self,
        dim: Width,
        num_heads: int = 1,
        alpha_init: float = 1.0,
        eps: float = 1e-6,
        sigma: str = "tanh",
        dot_scale: float = 1.0,
        dropout: float = 0.0,
        *,
        alpha_form: str = "vector",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options = {"num_heads": num_heads, "eps": eps, "sigma": sigma, "dot_scale": dot_scale, "dropout": dropout}
        super().__init__(dim, device, dtype, **options, alpha=alpha_form)
        self.num_heads, self.alpha_init, self.eps, self.sigma = num_heads, alpha_init, eps, sigma
        self.dot_scale, self.dropout, self.alpha_form = dot_scale, dropout, alpha_form
        if self.alpha is not None:
            self._initial_values["alpha"] = _library.real_of(self.name, "alpha_init", alpha_init)
        self.reset_parameters()

    def forward(self, x: Tensor, gamma_c: Tensor, eta_c: Tensor) -> Tensor:
        return F.ada_seed_norm(
            x, self._param("alpha"), self._param("beta"), gamma_c, eta_c, self.num_heads, self.eps, self.sigma,
            self.dot_scale, self.dropout, self.training,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{self.dim}, num_heads={self.num_heads}, alpha_init={self.alpha_init}, eps={self.eps}"


class RMSNorm(_Norm):
    """RMSNorm: y = weight x / sqrt(mean(x^2) + eps), weight [dim], 1. gamma_form: vector, plus_one, none."""

    name = "rms_norm"
    weight: nn.Parameter | None

    def __init__(
        self,
        dim: Width,
        eps: float = 1e-6,
        *,
        gamma_form: str = "vector",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(dim, device, dtype, eps=eps, gamma=gamma_form)
        self.eps, self.gamma_form = eps, gamma_form
        self._form = "plus_one" if gamma_form == "plus_one" else "vector"
        self.reset_parameters()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """y, or with a residual (y, x + residual)."""
        if residual is None:
            return F.rms_norm(x, self._param("weight"), self.eps, gamma_form=self._form)
        return F.add_rms_norm(x, residual, self._param("weight"), self.eps, gamma_form=self._form)

    def extra_repr(self) -> str:
        form = "" if self.gamma_form == "vector" else f", gamma_form={self.gamma_form}"
        return f"{self.dim}, eps={self.eps}{form}"


class LayerNorm(_Norm):
    """LayerNorm: y = weight (x - mean) / sqrt(var + eps) + bias, over the last dimension; weight, bias [dim]: 1, 0.

    State dicts are those of torch.nn.LayerNorm.
    """

    name = "layer_norm"
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        dim: Width,
        eps: float = 1e-6,
        bias: bool = True,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(dim, device, dtype, eps=eps, beta="vector" if bias else "none")
        self.eps = eps
        self.reset_parameters()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """y, or with a residual (y, x + residual)."""
        if residual is None:
            return F.layer_norm(x, self._param("weight"), self._param("bias"), self.eps)
        return F.add_layer_norm(x, residual, self._param("weight"), self._param("bias"), self.eps)

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}, bias={self.bias is not None}"


class GroupLayerNorm(_Norm):
    """LayerNorm of each of num_heads groups of adjacent columns, which is GroupNorm (arXiv 1803.08494) of a row.

    State dicts are those of torch.nn.GroupNorm(num_heads, dim): weight, bias [dim]: 1, 0.
    """

    name = "group_layer_norm"
    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(
        self,
        dim: Width,
        num_heads: int = 1,
        eps: float = 1e-6,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(dim, device, dtype, eps=eps, num_heads=num_heads)
        self.num_heads = num_heads
        self.eps = eps
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        return F.group_layer_norm(x, self._param("weight"), self._param("bias"), self.num_heads, self.eps)

    def extra_repr(self) -> str:
        return f"{self.dim}, num_heads={self.num_heads}, eps={self.eps}"


class _Pointwise(_Norm):
    """What DyT, Derf and DyISRU share: they work on every element alone."""

    weight: nn.Parameter
    bias: nn.Parameter
    alpha: nn.Parameter

    def __init__(
        self,
        dim: Width,
        alpha_init: float = 0.5,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(dim, device, dtype)
        self.alpha_init = self._initial_values["alpha"] = _library.real_of(self.name, "alpha_init", alpha_init)
        self.reset_parameters()

    def extra_repr(self) -> str:
        return f"{self.dim}, alpha_init={self.alpha_init}"


class DyT(_Pointwise):
    """Dynamic Tanh (arXiv 2503.10622): y = weight tanh(alpha x) + bias; weight [dim], 1; bias [dim], 0; alpha [1]."""

    name = "dyt"

    def forward(self, x: Tensor) -> Tensor:
        return F.dyt(x, self._param("weight"), self._param("bias"), self._param("alpha"))


class Derf(_Pointwise):
    """Dynamic erf (arXiv 2512.10938): y = weight erf(alpha x + shift) + bias; weight, bias [dim]; alpha, shift [1]."""

    name = "derf"
    shift: nn.Parameter

    def forward(self, x: Tensor) -> Tensor:
        return F.derf(x, self._param("weight"), self._param("bias"), self._param("alpha"), self._param("shift"))


class DyISRU(_Pointwise):
    """Dynamic inverse square root unit (arXiv 2503.21708), DyT with v / sqrt(1 + v^2) in place of tanh(v)."""

    name = "dyisru"

    def forward(self, x: Tensor) -> Tensor:
        return F.dyisru(x, self._param("weight"), self._param("bias"), self._param("alpha"))


class GCT(_Norm):
    """Gated channel transformation (arXiv 1909.11519) of a row, which it does not normalize.

    y = x (1 + tanh(weight e / RMS(e) + bias)), e = alpha |x|; weight, bias [dim], 0, so that y = x at first; alpha [dim], 1.
    """

    name = "gct"
    weight: nn.Parameter
    bias: nn.Parameter
    alpha: nn.Parameter

    def __init__(
        self,
        dim: Width,
        eps: float = 1e-6,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(dim, device, dtype, eps=eps)
        self.eps = eps
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        return F.gct(x, self._param("weight"), self._param("bias"), self._param("alpha"), self.eps)

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}"


class LAN(_Norm):
    """Learnable adaptive normalization, whose statistics are learned.

    y = weight (x - mean) / sqrt(max(variance, 0) + eps) + bias; weight, variance [dim], 1; mean, bias [dim], 0.
    """

    name = "lan"
    weight: nn.Parameter
    bias: nn.Parameter
    variance: nn.Parameter
    mean: nn.Parameter

    def __init__(
        self,
        dim: Width,
        eps: float = 1e-6,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(dim, device, dtype, eps=eps)
        self.eps = eps
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._param("weight"), self._param("bias")
        return F.lan(x, weight, bias, self._param("variance"), self._param("mean"), self.eps)

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}"


class ScaleNorm(_Norm):
    """ScaleNorm (arXiv 1910.05895): y = weight x / max(|x|, eps), |x| the Euclidean length; weight [1], sqrt(dim)."""

    name = "scale_norm"
    weight: nn.Parameter

    def __init__(
        self,
        dim: Width,
        eps: float = 1e-6,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(dim, device, dtype, eps=eps)
        self.eps = eps
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        return F.scale_norm(x, self._param("weight"), self.eps)

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}"
