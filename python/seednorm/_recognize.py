"""Finds out whether a module is RMSNorm, and of which form, by running it.

Names do not tell: a class called T5LayerNorm is RMSNorm, and one called ...RMSNorm may be gated. So a module counts as
RMSNorm when its forward, with random weights on random rows of every length, agrees with the formula: in training and in
evaluation, in its own precision and in half precision, since some clamp or drop in one of them only.
"""

import copy
import inspect
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import reference
from .modules import RMSNorm

#: How far, in ULP of bfloat16 or float16 data, an order of rounding is from one rounding at the end. With p bits of
#: significand, rounding changes a value by at most u = 2^-p of it, and u of a value is less than 1 ULP.
#:   llama   weight * round(x / RMS): one more rounding, u, beside half a ULP for each store: less than 2 ULP, and as
#:           both results lie on the grid, at most 1.
#:   gemma   round((1 + weight) * x / RMS), none   round(weight * x / RMS): the same order as ours. The float32 inside
#:           may differ in its last bits, and tip a value that lies between two others to the other side.
#:   input   every operation rounds to the data's dtype: x^2, mean, + eps (3 u, which the root halves), root, times x,
#:           times weight: 4.5 u, and half a ULP for ours.
#: A ULP is that of the larger of the two values.
ULP_BOUNDS = {"llama": 1, "gemma": 1, "none": 1, "input": 5}

_EPS_NAMES = ("eps", "variance_epsilon", "epsilon", "norm_eps")
_WIDTH_NAMES = ("normalized_shape", "dim", "hidden_size")


class NotRMSNorm(Exception):
    """Says why a module cannot be taken for RMSNorm."""


@dataclass(frozen=True)
class Recognized:
    """What an RMSNorm module computes: gamma x / sqrt(mean of x^2 + eps)."""

    dim: int
    eps: float
    gamma_form: str  # vector | plus_one | none
    casting: str  # a key of ULP_BOUNDS
    weight: nn.Parameter | None


def is_candidate(module: nn.Module) -> bool:
    """Whether a report should say what happened to it: it is called a norm and contains no other modules."""
    leaf = not any(True for _ in module.children()) or hasattr(module, "parametrizations")
    return leaf and "norm" in type(module).__name__.lower()


def recognize(module: nn.Module, dtype: torch.dtype | None = None) -> Recognized:
    """Raises NotRMSNorm with the reason when the module is something else, or cannot be replaced.

    dtype: that of the parameters around a module which has none itself.
    """
    weight = _check_state(module)
    if type(module).forward is RMSNorm.forward:
        return Recognized(module.dim, module.eps, module.gamma_form, "none", weight)
    _check_forward(module)
    dtype = dtype if weight is None else weight.dtype
    dim, eps = _width(module, weight), _epsilon(module, dtype)
    form = _gamma_form(module, weight, dtype, dim, eps)
    return Recognized(dim, eps, form, _casting(module, form, dim, eps, dtype), weight)


def recognize_layer_norm(module: nn.Module) -> Recognized:
    """A LayerNorm as if it were RMSNorm, which it is not: its mean and bias are left out."""
    weight = _plain_weight(module)
    dim, eps = _width(module, weight), _epsilon(module, None if weight is None else weight.dtype)
    x, gamma = _probe(dim, eps)
    params = {name: gamma for name, p in module._parameters.items() if p is not None}
    expected = reference.layer_norm(x.double(), params.get("weight"), params.get("bias"), eps)
    allowed = 1e-4 * (1 + gamma.abs() * (len(params) or 1))
    for mode in _MODES:
        y = _run(module, x, params, mode)
        if y.shape != x.shape or not bool(((y.double() - expected).abs() <= allowed).all()):
            raise NotRMSNorm(f"it is not a LayerNorm over the last dimension in {mode} mode")
    return Recognized(dim, eps, "none" if weight is None else "vector", "none", weight)


def _check_state(module: nn.Module) -> nn.Parameter | None:
    weight = _plain_weight(module)
    others = [name for name, p in module._parameters.items() if p is not None and name != "weight"]
    others += [name for name, b in module._buffers.items() if b is not None]
    if others:
        raise NotRMSNorm(f"it has more than a weight: {', '.join(others)}")
    return weight


def _plain_weight(module: nn.Module) -> nn.Parameter | None:
    if hasattr(module, "parametrizations"):
        raise NotRMSNorm("its weight is parametrized; remove the parametrization first")
    weight = module._parameters.get("weight")
    if weight is not None and type(weight.data) is not torch.Tensor:
        raise NotRMSNorm(f"its weight is a {type(weight.data).__name__}; convert before sharding or quantizing")
    if weight is not None and not weight.is_floating_point():
        raise NotRMSNorm(f"its weight is {weight.dtype}, not a floating-point type")
    return weight


def _check_forward(module: nn.Module) -> None:
    if "forward" in vars(module):
        raise NotRMSNorm("its forward was replaced on the instance; convert before that")
    parameters = list(inspect.signature(type(module).forward).parameters.values())[2:]
    extra = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if extra:
        raise NotRMSNorm(f"its forward takes more than x: {', '.join(extra)}")


def _width(module: nn.Module, weight: nn.Parameter | None) -> int:
    if weight is not None:
        shape = tuple(weight.shape)
    else:
        given = next((getattr(module, name) for name in _WIDTH_NAMES if hasattr(module, name)), None)
        if given is None:
            raise NotRMSNorm("it has no weight that would tell its width")
        shape = (given,) if isinstance(given, int) else tuple(given)
    if len(shape) != 1:
        raise NotRMSNorm(f"it normalizes over the dimensions {list(shape)}; only the last one can be")
    return shape[0]


def _epsilon(module: nn.Module, dtype: torch.dtype | None) -> float:
    name = next((name for name in _EPS_NAMES if hasattr(module, name)), None)
    if name is None:
        raise NotRMSNorm(f"it has no eps (none of the attributes {', '.join(_EPS_NAMES)})")
    eps = getattr(module, name)
    if eps is None and isinstance(module, nn.RMSNorm):  # PyTorch then takes the epsilon of the dtype it computes in
        eps = torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).eps
    if not isinstance(eps, int | float) or not 0 < eps < math.inf:
        raise NotRMSNorm(f"its {name} is {eps!r}, not a number above 0")
    return float(eps)


def _gamma_form(
    module: nn.Module, own_weight: nn.Parameter | None, dtype: torch.dtype | None, dim: int, eps: float
) -> str:
    """Which formula the module follows, in the wider of its own precision and float32."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x, gamma = (t.to(wide) for t in _probe(dim, eps))
    weight = None if own_weight is None else gamma
    errors = dict.fromkeys(("none",) if weight is None else ("vector", "plus_one"), 0.0)
    for mode in _MODES:
        y = _run(module, x, {} if weight is None else {"weight": weight}, mode)
        if y.shape != x.shape or y.dtype != x.dtype:
            raise NotRMSNorm(f"from {list(x.shape)} {x.dtype} its forward makes {list(y.shape)} {y.dtype}")
        for form in errors:
            expected = reference.rms_norm(x.double(), weight, eps, gamma_form=form)
            errors[form] = _worst(errors[form], ((y.double() - expected).abs() / (expected.abs() + 1e-30)).max().item())
        form, error = min(errors.items(), key=lambda item: item[1])
        # Far above float32's errors, far below what another place of eps or a subtracted mean would change.
        if not error <= 1e-5:
            raise NotRMSNorm(f"it does not compute gamma x / RMS(x) in {mode} mode: off by {error:.1e} on random rows")
    return form


def _worst(a: float, b: float) -> float:
    """The larger one; NaN counts as infinite."""
    return max(a, math.inf if math.isnan(b) else b)


def _casting(module: nn.Module, form: str, dim: int, eps: float, dtype: torch.dtype | None) -> str:
    """Which order of rounding gives what the module gives in bfloat16, by the number of different elements."""
    x, weight = (t.bfloat16() for t in _probe(dim, eps))
    orders = _orders(x, weight, form, eps)
    y = _run(module, x, {} if form == "none" else {"weight": weight}, "evaluation")
    casting = min(orders, key=lambda order: int((orders[order] != y).sum()))
    if dtype == torch.float64:  # with another epsilon, where it is left to PyTorch
        return casting
    # float16 holds no long rows; in both, no order is further from another than 6 ULP, 2^-7 and 2^-10 of a value at most.
    _check_half(y, orders[casting], 6 * 2.0**-7)
    x, weight = (t.half() for t in (x.float().clamp(-100, 100), weight.float().clamp(-100, 100)))
    y = _run(module, x, {} if form == "none" else {"weight": weight}, "evaluation")
    _check_half(y, _orders(x, weight, form, eps)[casting], 6 * 2.0**-10)
    return casting


def _orders(x: Tensor, weight: Tensor, form: str, eps: float) -> dict[str, Tensor]:
    """gamma x / RMS(x) by each order of rounding."""
    gain = {"none": torch.ones(x.shape[-1]), "vector": weight.float(), "plus_one": 1 + weight.float()}[form]
    normed = x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + eps)
    rounded = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    narrow = gain.to(x.dtype)
    return {
        "gemma" if form == "plus_one" else "none": (gain * normed).to(x.dtype),
        "llama": narrow * normed.to(x.dtype),
        "input": narrow * rounded,
    }


def _check_half(y: Tensor, expected: Tensor, relative: float) -> None:
    off = (y.double() - expected.double()).abs() - relative * expected.double().abs()
    if not bool((off <= torch.finfo(y.dtype).tiny).all()):
        raise NotRMSNorm("in half precision it computes something else than in float32")


#: Powers of ten that rows are scaled by: up to where float32's sums of squares still hold, down to far below eps.
_SCALES = (0.0, 2.0, 3.0, 5.0, 8.0, 15.0, -4.0, -12.0)
_MODES = ("evaluation", "training")


def _probe(dim: int, eps: float) -> tuple[Tensor, Tensor]:
    """Rows x [2, 1 + scales, n, dim] with a mean, of the length of eps's root and of many others, and a weight of numbers
    large and small; float32 on the CPU.

    Four dimensions, so that a norm over another one than the last shows. The global generator is left alone.
    """
    generator = torch.Generator("cpu").manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device="cpu", dtype=torch.float32)

    scales = (math.sqrt(eps), *(10.0**power for power in _SCALES))
    x = draw(2, len(scales), max(1, 512 // dim), dim) + 0.5
    for rows, scale in enumerate(scales):
        x[:, rows] *= scale
    weight = draw(dim)
    weight[::4] *= 1e5  # a clamp of what comes out would show
    return x, weight


def _run(module: nn.Module, x: Tensor, params: dict[str, Tensor], mode: str) -> Tensor:
    """The module's forward, without hooks, with these for its parameters; the module itself is not touched."""
    try:
        clone = copy.copy(module)
        given = {name: nn.Parameter(value, requires_grad=False) for name, value in params.items()}
        clone.__dict__["_parameters"] = dict.fromkeys(module._parameters) | given
        clone.__dict__["training"] = mode == "training"
        with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.random.fork_rng(devices=[]):
            return clone.forward(x)
    except Exception as error:  # whatever a stranger's forward may raise
        raise NotRMSNorm(f"its forward failed on random rows: {type(error).__name__}: {error}") from error
