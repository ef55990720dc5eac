"""Replaces a model's normalization layers by SeeDNorm, and back, in place.

    report = seednorm.convert(model)
    print(report)

With beta = 0 SeeDNorm is RMSNorm (Eq. 4), so a converted model starts from the outputs it had.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from . import _record
from ._fold import coefficient_is_zero, fold, measure
from ._recognize import ULP_BOUNDS, NotRMSNorm, Recognized, is_candidate, recognize, recognize_layer_norm
from ._table import table
from .modules import AdaSeeDNorm, LayerNorm, RMSNorm, SeeDNorm

Rules = str | type | Sequence[str | type]
Found = tuple[nn.Module, list[str], Recognized | SeeDNorm]  # a module, its names, and what it computes


@dataclass(frozen=True)
class Replaced:
    """A layer that was replaced."""

    name: str  # in the model; several, with commas, when the module has several places
    was: str  # class it was
    dim: int
    casting: str  # the order in which it rounded, see `convert`
    max_ulp: int | None  # bound on the outputs' change, in ULP of bfloat16 or float16 data; None: they change
    error: float  # of the outputs, relative, in the mean square over `data`; 0 where nothing was folded
    note: str = ""


@dataclass(frozen=True)
class Kept:
    """A normalization layer that was left alone."""

    name: str
    was: str
    reason: str


@dataclass(frozen=True)
class Conversion:
    """What `convert` did. str() is a table."""

    to: str
    replaced: list[Replaced]
    kept: list[Kept]

    def __str__(self) -> str:
        header = ("replaced", "was", "dim", "casting", "ULP", "error", "note")
        rows = [
            (r.name, r.was, r.dim, r.casting, "changes" if r.max_ulp is None else r.max_ulp, r.error, r.note)
            for r in self.replaced
        ]
        text = f"{len(rows)} layers to {self.to}\n{table(header, rows)}"
        if self.kept:
            text += "\n\n" + table(("left alone", "is", "because"), [(k.name, k.was, k.reason) for k in self.kept])
        return text


def convert(
    model: nn.Module,
    to: str = "seed_norm",
    num_heads: int = 1,
    alpha_init: float = 1.0,
    include: Rules | None = None,
    exclude: Rules = (),
    casting: str | None = None,
    *,
    sigma: str = "tanh",
    dot_scale: float = 1.0,
    dropout: float = 0.0,
    data: Callable[[nn.Module], Any] | Iterable[Any] | None = None,
) -> Conversion:
    """Replaces the RMSNorm layers of a model in place, by SeeDNorm with beta = 0 or (to="rms_norm") by RMSNorm.

    RMSNorm is what computes gamma x / sqrt(mean x^2 + eps) or (1 + gamma) x / ... on random rows, whatever its class:
    `torch.nn.RMSNorm`, `seednorm.RMSNorm`, those of Hugging Face transformers and timm. Everything else that is called
    a norm is left alone and listed with the reason. The new layers share the gain's Parameter object, so that
    optimizers and ties stay valid, and keep hooks, mode, device and dtype. alpha and beta are new, in gamma's dtype,
    and trained if gamma is; an optimizer that exists already does not have them.

    to="rms_norm" also takes SeeDNorm back. That is exact when beta = 0; otherwise the mean of the dynamic coefficient
    over `data` (a function that runs the model, or an iterable of model inputs) is added to gamma in place, and
    `error` says what that changed. With a tied gamma the sum becomes a Parameter of its own.

    include, exclude: patterns of module names (as of fnmatch) or classes. torch.nn.LayerNorm is replaced only where
    `include` names its class or, without wildcards, the module: its centring and bias are lost.

    casting: the order of rounding of the layers to replace; None takes each as it is, otherwise those of another order
    are left alone. Ours rounds once, from float32 to x's dtype, in any case. The outputs differ for bfloat16 and
    float16 data from an original with "llama" (rounds x / RMS, then multiplies) by at most 1 ULP, "gemma" and "none"
    (round once) by at most 1 where float32's errors tip a value, "input" (all in x's dtype) by at most 5; from
    `seednorm.RMSNorm` not at all, bitwise. In float32 they differ by the rounding errors of the sums, a few ULP.
    Where an original with a float32 weight would make float32 of bfloat16 data, ours keeps bfloat16.

    A transformers model notes what was done in its configuration, so that what `save_pretrained` writes can be loaded
    again by `seednorm.from_pretrained`, or by transformers wherever this package is imported.

    Raises ValueError, before anything is replaced, for an unknown `to` or `casting`, a sigma with sigma(0) != 0, a
    num_heads that does not divide a width, nothing to replace, or data that is needed and missing or not finite.
    """
    _check_options(to, sigma, casting)
    wanted = None if include is None else _rules(include)
    found, kept = _survey(model, to, wanted, _rules(exclude), casting)
    if not found:
        raise ValueError(_nothing(to, wanted, kept))
    if to == "seed_norm":
        _check_heads(num_heads, found)
        options = dict(num_heads=num_heads, alpha_init=alpha_init, sigma=sigma, dot_scale=dot_scale, dropout=dropout)
        new = {m: _seed_norm(layer, options, _place(model, names[0])) for m, names, layer in found}
        errors: dict[nn.Module, float] = {}
    else:
        new, errors = _rms_norms(model, found, data)
    replaced = []
    for module, names, layer in found:
        _carry_over(module, new[module])
        for name in names:
            parent, _, child = name.rpartition(".")
            model.get_submodule(parent)._modules[child] = new[module]
        replaced.append(_report(module, names, layer, errors.get(module)))
    by_name = {name: new[module] for module, names, _ in found for name in names}
    _record.write(model, by_name, {new[module] for module, _, layer in found if to == "seed_norm" and layer.weight is None})
    return Conversion(to, replaced, kept)


def _survey(
    model: nn.Module, to: str, wanted: Sequence[str | type] | None, unwanted: Sequence[str | type], casting: str | None
) -> tuple[list[Found], list[Kept]]:
    """What is to be replaced, and which other norms there are."""
    found: list[Found] = []
    kept: list[Kept] = []
    for module, names in _places(model).items():
        named = _match(wanted or (), module, names, wildcards=False)
        if not is_candidate(module) and not named:
            continue
        try:
            if _match(unwanted, module, names):
                raise NotRMSNorm("excluded")
            if wanted is not None and not _match(wanted, module, names):
                raise NotRMSNorm("not included")
            found.append((module, names, _read(module, to, casting, named, _place(model, names[0]).get("dtype"))))
        except NotRMSNorm as reason:
            kept.append(Kept(", ".join(names), type(module).__name__, str(reason)))
    return found, kept


def _check_options(to: str, sigma: str, casting: str | None) -> None:
    if to not in ("seed_norm", "rms_norm"):
        raise ValueError(f"[convert] to: expected 'seed_norm' or 'rms_norm', got {to!r}")
    if casting is not None and casting not in ULP_BOUNDS:
        raise ValueError(f"[convert] casting: expected None or one of {', '.join(ULP_BOUNDS)}, got {casting!r}")
    if sigma == "sigmoid":
        raise ValueError("[convert] sigma: expected one with sigma(0) = 0, lest outputs change; got 'sigmoid'")


def _check_heads(num_heads: int, found: list[Found]) -> None:
    uneven = [f"{names[0]} ({layer.dim})" for _, names, layer in found if num_heads < 1 or layer.dim % num_heads]
    if uneven:
        raise ValueError(
            f"[convert] num_heads: expected a divisor of every width, got {num_heads} for {', '.join(uneven)}; "
            "choose another or leave these out with exclude"
        )


def _rules(rules: Rules) -> Sequence[str | type]:
    return [rules] if isinstance(rules, str | type) else list(rules)


def _match(rules: Sequence[str | type], module: nn.Module, names: list[str], wildcards: bool = True) -> bool:
    """Whether a rule names the module: its class, or by a pattern, or without wildcards, one of its names."""
    for rule in rules:
        if isinstance(rule, type):
            if isinstance(module, rule):
                return True
        elif rule in names or (wildcards and any(fnmatchcase(name, rule) for name in names)):
            return True
    return False


def _places(model: nn.Module) -> dict[nn.Module, list[str]]:
    """Every module below the model with all of its names."""
    places: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if module is not model:
            places.setdefault(module, []).append(name)
    if is_candidate(model):
        raise ValueError("[convert] model: expected a module with norms in it, got a norm, whose place is the caller's")
    return places


def _read(
    module: nn.Module, to: str, casting: str | None, named: bool, dtype: torch.dtype | None
) -> Recognized | SeeDNorm:
    """What the module computes; NotRMSNorm with the reason when it stays as it is. dtype: of parameters around it."""
    if isinstance(module, SeeDNorm if to == "seed_norm" else RMSNorm):
        raise NotRMSNorm(f"it is {type(module).__name__} already")
    if isinstance(module, AdaSeeDNorm):
        raise NotRMSNorm("its gain depends on a condition")
    if isinstance(module, SeeDNorm):
        return module
    if isinstance(module, nn.LayerNorm | LayerNorm):
        if not named:
            raise NotRMSNorm("its centring cannot be folded exactly; name its class in include to accept the change")
        return recognize_layer_norm(module)
    layer = recognize(module, dtype)
    if casting not in (None, layer.casting):
        raise NotRMSNorm(f"it rounds in the order {layer.casting!r}, not {casting!r}")
    return layer


def _nothing(to: str, include: Sequence[str | type] | None, kept: list[Kept]) -> str:
    asked = "" if include is None else f" that include={include} names"
    if not kept:
        return f"[convert] model: expected normalization layers{asked}, found none"
    lines = "\n".join(f"  {k.name} ({k.was}): {k.reason}" for k in kept)
    return f"[convert] model: found no layer{asked} to replace by {to}; there are\n{lines}"


def _place(model: nn.Module, name: str) -> dict[str, Any]:
    """Device and dtype of the parameters of that submodule; without any, of the nearest around it that has some."""
    while True:
        for p in model.get_submodule(name).parameters():
            if p.is_floating_point():
                return dict(device=p.device, dtype=p.dtype)
        if not name:
            return {}
        name = name.rpartition(".")[0]


def _seed_norm(layer: Recognized | SeeDNorm, options: dict[str, Any], place: dict[str, Any]) -> nn.Module:
    weight = layer.weight
    # Without a weight gamma is 1 and stays so: "none" would be 0.
    form = "vector" if weight is None else layer.gamma_form
    new = SeeDNorm(layer.dim, eps=layer.eps, gamma_form=form, **options, **place)
    if weight is None:
        new.weight.requires_grad_(False)
    else:
        new.weight = weight
        new.requires_grad_(weight.requires_grad)
    return new


def _rms_norms(
    model: nn.Module, found: list[Found], data: Any
) -> tuple[dict[nn.Module, nn.Module], dict[nn.Module, float]]:
    """The new layers, and the errors of those whose dynamic coefficient was folded."""
    dynamic = {
        layer: names[0] for _, names, layer in found if isinstance(layer, SeeDNorm) and not coefficient_is_zero(layer)
    }
    if dynamic and data is None:
        raise ValueError(
            "[convert] data: expected model inputs to measure the mean dynamic coefficient on, since beta is not 0 in "
            f"{', '.join(dynamic.values())}; got None"
        )
    means = measure(model, dynamic, data) if dynamic else {}
    unseen = [name for layer, name in dynamic.items() if not means[layer].rows]
    if unseen:
        raise ValueError(f"[convert] data: expected inputs that reach every layer, none reached {', '.join(unseen)}")
    errors: dict[nn.Module, float] = {layer: mean.error() for layer, mean in means.items()}  # before gammas change
    folded = {layer: mean.folded() for layer, mean in means.items()}
    wild = [name for layer, name in dynamic.items() if not bool(folded[layer].isfinite().all())]
    if wild:
        raise ValueError(
            "[convert] data: expected inputs that keep every layer's mean coefficient finite, but with NaN or infinite "
            f"values among them the gain of {', '.join(wild)} would not be; nothing was changed"
        )
    uses = Counter(id(p) for module in model.modules() for p in module._parameters.values())
    new: dict[nn.Module, nn.Module] = {}
    for module, names, layer in found:
        if isinstance(layer, SeeDNorm):
            new[module] = fold(layer, folded.get(layer), tied=uses[id(layer.weight)] > 1)
        else:
            norm = RMSNorm(layer.dim, eps=layer.eps, gamma_form=layer.gamma_form, **_place(model, names[0]))
            norm.weight = layer.weight
            new[module] = norm
    return new, errors


def _carry_over(old: nn.Module, new: nn.Module) -> None:
    """Mode and hooks. The very dictionaries of hooks move, so that handles can still remove theirs."""
    new.training = old.training
    for key, value in vars(old).items():
        if "hook" in key and key.startswith(("_forward", "_backward", "_is_full_backward")):
            new.__dict__[key] = value


def _report(module: nn.Module, names: list[str], layer: Recognized | SeeDNorm, error: float | None) -> Replaced:
    casting, note = "none", ""
    max_ulp: int | None = 0
    if isinstance(layer, Recognized):
        casting = layer.casting
        max_ulp = 0 if isinstance(module, RMSNorm) else ULP_BOUNDS[casting]
        if isinstance(module, nn.LayerNorm | LayerNorm):
            max_ulp, note = None, "no longer subtracts the mean, nor adds a bias"
        elif layer.weight is None:
            note = "had no weight"
    elif error is not None:
        max_ulp, note = None, "mean coefficient added to gamma"
    return Replaced(", ".join(names), type(module).__name__, layer.dim, casting, max_ulp, error or 0.0, note)
