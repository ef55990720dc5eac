"""Parameter groups for an optimizer: SeeDNorm's alpha and beta are decayed (Section 3, Table 4), gamma as the baseline.

    optimizer = torch.optim.AdamW(seednorm.param_groups(model, weight_decay=0.1), lr=3e-4)
    seednorm.check_param_groups(optimizer, model)

Most trainers leave one-dimensional parameters undecayed, and alpha and beta are such.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ._table import table
from .modules import _Norm

#: In this order a parameter with several roles (a tied one) gets its group.
ROLES = {
    "dynamic": "alpha and beta of SeeDNorm",
    "gamma": "gains of norms",
    "decay": "matrices and higher",
    "no_decay": "biases and other vectors",
}

#: The group of a parameter of our layers by its role in the norm.
_GROUP_OF_ROLE = {"dynamic": "dynamic", "gain": "gamma", "offset": "no_decay", "slope": "no_decay"}


class ParamGroups(list[dict[str, Any]]):
    """Groups as torch.optim takes them, each with a "name" of ROLES. str() is a table."""

    def __init__(self, groups: Iterable[dict[str, Any]], names: dict[nn.Parameter, str]) -> None:
        super().__init__(groups)
        self._names = names

    def __str__(self) -> str:
        rows = []
        for group in self:
            params = group["params"]
            examples = [self._names.get(p, "?") for p in params[:2]]
            size = sum(p.numel() for p in params)
            shown = ", ".join(examples) + (", ..." if len(params) > 2 else "")
            rows.append((group["name"], float(group["weight_decay"]), len(params), size, ROLES[group["name"]], shown))
        return table(("group", "weight decay", "tensors", "numbers", "what", "names"), rows)


def param_groups(model: nn.Module, weight_decay: float, decay_gamma: bool = False) -> ParamGroups:
    """Every parameter of the model in exactly one group, a tied one once, a frozen one too.

    alpha and beta of SeeDNorm and AdaSeeDNorm get `weight_decay`, wherever in the model the layers are; so do
    parameters of two dimensions and more. Gains of norms (our layers' and `weight` of modules called ...Norm) get it with
    `decay_gamma`: say True if your baseline decays them (OLMo's recipes), False if not (most vision recipes). Biases
    and other vectors get none. Groups without parameters are left out.

    Raises ValueError for a negative weight_decay.
    """
    if not weight_decay >= 0:
        raise ValueError(f"[param_groups] weight_decay: expected a number >= 0, got {weight_decay}")
    roles = _roles(model)
    names = {p: name for name, p in model.named_parameters()}
    members: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
    for p in names:
        members[roles[p]].append(p)
    decays = {
        "dynamic": weight_decay,
        "gamma": weight_decay if decay_gamma else 0.0,
        "decay": weight_decay,
        "no_decay": 0.0,
    }
    groups = [dict(name=role, params=members[role], weight_decay=decays[role]) for role in ROLES if members[role]]
    return ParamGroups(groups, names)


def check_param_groups(optimizer_or_groups: Any, model: nn.Module) -> None:
    """Raises ValueError when alpha or beta of a SeeDNorm in the model is not in the optimizer, or not decayed there."""
    _check("check_param_groups", optimizer_or_groups, model)


def check_decay(optimizer: Any, model: nn.Module) -> str:
    """What weight decay the model's parameters get, as a table; for any optimizer, of whatever trainer.

        print(seednorm.check_decay(trainer.create_optimizer(), trainer.model))

    optimizer: one of torch.optim, groups, or what a trainer wraps optimizers in (accelerate, torchtitan, Megatron-core).
    Frozen parameters do not count.

    Raises ValueError when alpha or beta of a SeeDNorm is not in it, or not decayed there: most trainers leave vectors, or
    whatever a norm has, out of weight decay, and say nothing.
    """
    decays = _check("check_decay", optimizer, model)
    rows: dict[tuple[str, str], list[str]] = {}
    roles = _roles(model)
    for name, p in model.named_parameters():
        if p.requires_grad:
            decay = _decay_of(p, decays)
            shown = "not in it" if decay is _ABSENT else "none given" if decay is None else f"{float(decay):g}"
            rows.setdefault((roles[p], shown), []).append(name)
    order = list(ROLES)
    table_rows = [
        (role, shown, len(names), ", ".join(names[:2]) + (", ..." if len(names) > 2 else ""))
        for (role, shown), names in sorted(rows.items(), key=lambda item: order.index(item[0][0]))
    ]
    return table(("group", "weight decay", "tensors", "names"), table_rows)


def dynamic_names(model: nn.Module) -> set[str]:
    """The names of alpha and beta of every SeeDNorm and AdaSeeDNorm in the model, as in named_parameters()."""
    roles = _roles(model)
    return {name for name, p in model.named_parameters() if roles[p] == "dynamic"}


_ABSENT = object()


def _check(caller: str, optimizer: Any, model: nn.Module) -> dict[int, Any]:
    """Raises ValueError unless alpha and beta are decayed; the weight decay of each parameter by its id."""
    decays = {id(p): _decay_in(group) for group in _groups_of(optimizer) for p in _params(group)}
    roles = _roles(model)
    wrong = []
    for name, p in model.named_parameters():
        if roles[p] != "dynamic" or not p.requires_grad:
            continue
        decay = _decay_of(p, decays)
        if decay is _ABSENT:
            wrong.append(f"{name} is in no group")
        elif decay is None:
            wrong.append(f"{name} is in a group without weight_decay")
        elif not decay > 0:
            wrong.append(f"{name} has weight_decay {decay}")
    if wrong:
        shown = "; ".join(wrong[:8]) + (f"; and {len(wrong) - 8} more" if len(wrong) > 8 else "")
        raise ValueError(
            f"[{caller}] expected weight decay for alpha and beta of every SeeDNorm, but {shown}. "
            "seednorm.param_groups(model, weight_decay) makes groups that have it."
        )
    return decays


def _decay_in(group: dict[str, Any]) -> Any:
    """Megatron's groups begin with everybody's weight_decay; its schedule multiplies it by the group's wd_mult at each step."""
    return 0.0 if group.get("wd_mult") == 0 else group.get("weight_decay")


def _decay_of(p: nn.Parameter, decays: dict[int, Any]) -> Any:
    """Megatron's optimizers have a float32 copy of a parameter in its place, which the parameter knows."""
    return decays.get(id(p), decays.get(id(getattr(p, "main_param", None)), _ABSENT))


def _groups_of(optimizer: Any) -> list[dict[str, Any]]:
    """The groups of an optimizer, of the several that a trainer keeps in one, or of the one that it wraps."""
    for several in ("chained_optimizers", "optimizers"):
        if hasattr(optimizer, several):
            return [group for one in getattr(optimizer, several) for group in _groups_of(one)]
    if hasattr(optimizer, "param_groups"):
        return list(optimizer.param_groups)
    if hasattr(optimizer, "optimizer"):
        return _groups_of(optimizer.optimizer)
    return list(optimizer)


def _roles(model: nn.Module) -> dict[nn.Parameter, str]:
    """The role of each parameter; of several, the first in ROLES."""
    order = list(ROLES)
    roles: dict[nn.Parameter, str] = {}
    for module in model.modules():
        for name, p in module.named_parameters(recurse=False):
            roles[p] = min(roles.get(p, order[-1]), _role(module, name, p), key=order.index)
    return roles


def _role(module: nn.Module, name: str, p: nn.Parameter) -> str:
    if isinstance(module, _Norm) and name in module.roles:
        return _GROUP_OF_ROLE[module.roles[name]]
    if "norm" in type(module).__name__.lower() and name == "weight" and p.ndim < 2:
        return "gamma"
    return "decay" if p.ndim >= 2 else "no_decay"


def _params(group: dict[str, Any]) -> list[torch.Tensor]:
    """A group's parameters; torch.optim also takes one alone, and pairs of a name and a parameter."""
    params = group["params"]
    params = [params] if isinstance(params, torch.Tensor) else params
    return [p[1] if isinstance(p, tuple) else p for p in params]
