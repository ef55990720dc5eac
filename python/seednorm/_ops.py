"""torch.ops.seednorm: meta functions and gradients of the operators, for whatever norms the library has.

Each norm has `name(x, parameters, options) -> (y, stats)`, `name_backward`, and where the library fuses a residual
add `add_name(x, residual, ...) -> (y, sum, stats)`. Options are numbers; see the schemas, and functional.py for names.
"""

from typing import Any

import torch
from torch import Tensor

from . import _library
from ._gradients import (
    ADD_FORWARD,
    BACKWARD,
    FORWARD,
    backward,
    below_autograd,
    eager_function,
    setup,
    transform_function,
    transforms_active,
)


class Norm:
    """The operators of one norm, and what their schemas say of their arguments."""

    def __init__(self, name: str) -> None:
        self.name = name
        ops = torch.ops.seednorm
        self.add_forward = getattr(ops, f"add_{name}").default if hasattr(ops, f"add_{name}") else None
        self.overloads: tuple[Any, Any, Any] = (
            getattr(ops, name).default,
            self.add_forward,
            getattr(ops, f"{name}_backward").default,
        )
        arguments = self.overloads[FORWARD]._schema.arguments[1:]
        params = [a.name for a in arguments if str(a.type) == "Optional[Tensor]"]
        self.params = tuple(param for param in params if param != "seed")
        self.options = tuple(a.name for a in arguments[len(self.params) : -1])  # the last one is keep_stats
        self.has_seed = "seed" in self.options  # it comes last then
        self.kinds = [kind for kind, overload in enumerate(self.overloads) if overload is not None]
        self.functions = [eager_function(self, kind) for kind in (FORWARD, ADD_FORWARD)]
        self.transforms = [transform_function(self, kind) for kind in (FORWARD, ADD_FORWARD, BACKWARD)]
        for kind in self.kinds:
            _register(self, kind)

    def first_param(self, kind: int) -> int:
        """Position of the parameters among the arguments: after x; x and residual; dy and x."""
        return 1 if kind == FORWARD else 2

    def first_option(self, kind: int) -> int:
        """Position of the options: after the parameters, in backward also stats and dsum."""
        between = 1 + (self.add_forward is not None) if kind == BACKWARD else 0
        return self.first_param(kind) + len(self.params) + between

    def run(self, kind: int, *inputs: Any) -> Any:
        """y, or y and sum, by the shortest way there is; `inputs` are all arguments but keep_stats.

        What PyTorch makes of a gradient registered with an operator costs tens of microseconds a call when it is not
        compiled, and torch.func refuses it.
        """
        if torch.compiler.is_compiling():
            return self.overloads[kind](*inputs, torch.is_grad_enabled())[:-1]
        if transforms_active():
            return self.transforms[kind].apply(*inputs, True)[:-1]
        if torch.is_grad_enabled():
            for value in inputs:
                if isinstance(value, Tensor) and value.requires_grad:
                    return self.functions[kind].apply(*inputs, True)
        with below_autograd():
            return self.overloads[kind](*inputs, False)[:-1]

    def run_backward(self, *inputs: Any) -> Any:
        """dx and the gradients of the parameters, differentiable where that may be needed."""
        if torch.compiler.is_compiling():
            return self.overloads[BACKWARD](*inputs)
        if transforms_active():
            return self.transforms[BACKWARD].apply(*inputs)
        if torch.is_grad_enabled():
            return self.overloads[BACKWARD](*inputs)
        with below_autograd():
            return self.overloads[BACKWARD](*inputs)


def _register(norm: Norm, kind: int) -> None:
    """Tells PyTorch of an operator's shapes and gradient."""
    overload = norm.overloads[kind]
    defaults = [argument.default_value for argument in overload._schema.arguments]

    def fake(*arguments: Any) -> tuple[Tensor, ...]:
        arguments = (*arguments, *defaults[len(arguments) :])  # the dispatcher leaves these out
        num_stats = _library.check_call(norm.name, kind, arguments)
        return (_fake_backward if kind == BACKWARD else _fake_forward)(norm, kind, num_stats, arguments)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        if kind != BACKWARD:
            ctx.mark_non_differentiable(output[-1])
        setup(ctx, norm, kind, inputs, output)

    torch.library.register_fake(overload.name(), fake)
    torch.library.register_autograd(
        overload.name(), lambda ctx, *grads: backward(ctx, norm, kind, *grads), setup_context=setup_context
    )


def _fake_forward(norm: Norm, kind: int, num_stats: int, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
    x, keep_stats = arguments[0], arguments[-1]
    wide = torch.promote_types(x.dtype, torch.float32)
    stats = x.new_empty((*x.shape[:-1], num_stats) if keep_stats else (0,), dtype=wide)
    return (*[x.new_empty(x.shape) for _ in range(norm.first_param(kind))], stats)


def _fake_backward(norm: Norm, kind: int, num_stats: int, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
    x, wanted = arguments[1], arguments[-1]
    dparams = []
    for i, param in enumerate(arguments[2 : 2 + len(norm.params)]):
        given = param is not None and wanted >> i & 1
        dparams.append(param.new_empty(param.shape) if given else x.new_empty(0))
    return (x.new_empty(x.shape), *dparams)


NORMS = {name: Norm(name) for name in _library.norm_names()}
