"""What `convert` did, written into a transformers model's configuration, and done again when such a model is built.

The member `seednorm` of config.json has a list `modules`, each of whose members says which modules are which layer:

    {"names": ["model.layers.*.input_layernorm", "model.norm"], "norm": "seed_norm", "dim": 64,
     "options": {"num_heads": 2, ...}, "frozen": []}

A star stands for one number. `frozen` names parameters that are not trained: the gain of a norm that had none.
"""

import inspect
from collections.abc import Iterable
from typing import Any

from torch import nn

from . import modules
from .modules import _Norm

_LAYERS = {cls.name: cls for cls in (getattr(modules, name) for name in modules.__all__)}


def write(model: nn.Module, replaced: dict[str, nn.Module], frozen: set[nn.Module]) -> None:
    """Notes in the model's configuration that the modules of these names are the layers given, unless it has none."""
    config = getattr(model, "config", None)
    if not hasattr(config, "to_dict"):
        return
    own = getattr(config, "seednorm", None) or {}
    layers = _named(model, own.get("modules", [])) | {
        name: _described(layer, layer in frozen) for name, layer in replaced.items()
    }
    every = [name for name, _ in model.named_modules(remove_duplicate=False)]
    config.seednorm = {**own, "modules": _grouped(layers, every)}


def has_layers(model: Any) -> bool:
    """Whether the model's configuration names layers."""
    return bool((getattr(getattr(model, "config", None), "seednorm", None) or {}).get("modules"))


def rebuild(model: nn.Module) -> None:
    """Puts the layers that the configuration names where the model has others; values are those training starts at."""
    own = getattr(getattr(model, "config", None), "seednorm", None)
    new: dict[nn.Module, nn.Module] = {}
    for name, entry in _named(model, (own or {}).get("modules", [])).items():
        old = model.get_submodule(name)
        if isinstance(old, _LAYERS[entry["norm"]]):
            continue
        if old not in new:
            new[old] = _layer(name, old, entry)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, new[old])


def unfulfilled(model: nn.Module) -> list[str]:
    """Names of the configuration that no layer of the model answers to."""
    entries = (getattr(model.config, "seednorm", None) or {}).get("modules", [])
    found = _named(model, entries)
    patterns = {pattern for entry in entries for pattern in entry["names"]}
    return sorted(p for p in patterns if not any(_matches(p, n, model) for n in found))


def _layer(name: str, old: nn.Module, entry: dict[str, Any]) -> nn.Module:
    like = next(old.parameters(), None)
    place: dict[str, Any] = {} if like is None else dict(device=like.device, dtype=like.dtype)
    if like is not None and like.numel() != entry["dim"]:
        raise ValueError(f"[seednorm] {name}: config.json says that its width is {entry['dim']}, but it is {like.numel()}")
    try:
        layer = _LAYERS[entry["norm"]](entry["dim"], **entry["options"], **place)
    except (KeyError, TypeError) as error:
        raise ValueError(f"[seednorm] {name}: config.json asks for a layer that this version cannot make: {error}") from error
    for param in entry.get("frozen", []):
        layer.get_parameter(param).requires_grad_(False)
    return layer.train(old.training)


def _described(layer: nn.Module, frozen: bool) -> dict[str, Any]:
    assert isinstance(layer, _Norm)
    arguments = inspect.signature(type(layer).__init__).parameters.keys() - {"self", "dim", "device", "dtype"}
    options = {name: getattr(layer, name) for name in sorted(arguments)}
    return {"norm": layer.name, "dim": layer.dim, "options": options, "frozen": ["weight"] if frozen else []}


def _named(model: nn.Module, entries: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entry, without names, of each module that one names."""
    layers = {}
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    for entry in entries:
        if entry["norm"] not in _LAYERS:
            raise ValueError(f"[seednorm] config.json: expected a norm of {', '.join(_LAYERS)}, got {entry['norm']!r}")
        described = {key: value for key, value in entry.items() if key != "names"}
        layers |= {n: described for n in names if any(_matches(p, n, model) for p in entry["names"])}
    return layers


def _matches(pattern: str, name: str, model: nn.Module) -> bool:
    """Also where the pattern was written for a model that has this one inside, as the one with a head has the other."""
    prefix = getattr(model, "base_model_prefix", "") or ""
    names = name.split(".")
    for candidate in {pattern, pattern.removeprefix(f"{prefix}.")}:
        parts = candidate.split(".")
        if len(parts) == len(names) and all(p in (n, "*" if n.isdigit() else n) for p, n in zip(parts, names, strict=True)):
            return True
    return False


def _grouped(layers: dict[str, dict[str, Any]], every: list[str]) -> list[dict[str, Any]]:
    """Entries for layers by name, with stars where a pattern names these modules of the model and no others."""
    groups: list[tuple[dict[str, Any], list[str]]] = []
    for name, described in layers.items():
        for other, names in groups:
            if other == described:
                names.append(name)
                break
        else:
            groups.append((described, [name]))
    entries = []
    for described, names in groups:
        patterns: dict[str, None] = {}
        for name in names:
            star = _starred(name)
            alike = [n for n in every if _starred(n) == star]
            patterns[star if set(alike) <= set(names) else name] = None
        entries.append({"names": list(patterns), **described})
    return entries


def _starred(name: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in name.split("."))
