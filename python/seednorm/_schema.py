"""The operators of each norm, as their schemas describe them: everything here finds an argument by its name.

Each norm has `name(x, parameters, options) -> (y, stats)`, `name_backward`, and where the library fuses a residual
add `add_name(x, residual, ...) -> (y, sum, stats)`. Options are numbers; see the schemas, and functional.py for names.
"""

from typing import Any

import torch

from . import _library

FORWARD, ADD_FORWARD, BACKWARD = range(3)


class Operator:
    """One operator: `names` are its arguments in the order of the schema, `defaults` what they are when left out."""

    def __init__(self, kind: int, overload: Any) -> None:
        self.kind = kind
        self.overload = overload
        arguments = overload._schema.arguments
        self.names = tuple(argument.name for argument in arguments)
        self.defaults = tuple(argument.default_value for argument in arguments)
        self.inputs = self.names[:-1]  # the last one says what is wanted: keep_stats, or `wanted`

    def values(self, given: dict[str, Any]) -> list[Any]:
        """Of arguments by name, those of all `inputs`, in order."""
        return [given[name] for name in self.inputs]

    def by_name(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        """The arguments of a call, which may leave out the last ones, with the names of the schema."""
        return dict(zip(self.names, (*arguments, *self.defaults[len(arguments) :]), strict=True))

    def in_order(self, grads: dict[str, Any]) -> tuple[Any, ...]:
        """One value for each argument, None where the name has none."""
        return tuple(map(grads.get, self.names))


class Norm:
    """A norm's operators, by kind (None where the library has none), and the names of its parameters and options."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.operators = [
            Operator(kind, getattr(torch.ops.seednorm, operator).default) if hasattr(torch.ops.seednorm, operator) else None
            for kind, operator in enumerate((name, f"add_{name}", f"{name}_backward"))
        ]
        forward = self.operator(FORWARD)
        optional = [a.name for a in forward.overload._schema.arguments if str(a.type) == "Optional[Tensor]"]
        self.has_add = self.operators[ADD_FORWARD] is not None
        self.has_seed = "seed" in forward.names
        self.params = tuple(param for param in optional if param != "seed")
        self.options = tuple(n for n in forward.names if n not in (*self.params, "x", "seed", "keep_stats"))

    def operator(self, kind: int) -> Operator:
        found = self.operators[kind]
        assert found is not None, f"{self.name} has no operator of kind {kind}"
        return found


NORMS = {name: Norm(name) for name in _library.norm_names()}
