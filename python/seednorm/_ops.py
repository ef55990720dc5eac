"""torch.ops.seednorm: the way of a call to its kernel, and meta functions and gradients of the operators."""

from typing import Any

import torch
from torch import Tensor

from . import _formula, _library, _sharding
from ._gradients import (
    EAGER,
    TRANSFORMED,
    backward,
    below_autograd,
    only_differentiated,
    setup_context,
    transformed,
)
from ._schema import BACKWARD, NORMS, Norm, Operator


def run(norm: Norm, kind: int, **given: Any) -> Any:
    """y, or y and sum, by the shortest way there is; `given` are all arguments but keep_stats, by name.

    What PyTorch makes of a gradient registered with an operator costs tens of microseconds a call when it is not
    compiled, and torch.func refuses it.
    """
    operator = norm.operator(kind)
    if given["x"].dtype == torch.float64:
        given |= {param: _double(given[param]) for param in norm.params}
    inputs = operator.values(given)
    if transformed():
        if not only_differentiated():
            return _formula.outputs(norm, kind, given)
        return TRANSFORMED[norm.name, kind].apply(*inputs, True)[:-1]
    if torch.compiler.is_compiling():
        # What is exported may be trained later, whatever it was exported under.
        return operator.overload(*inputs, torch.is_grad_enabled() or torch.compiler.is_exporting())[:-1]
    if torch._C._get_tracing_state() is not None:  # torch.jit.trace records operators, and may be trained later too
        return operator.overload(*inputs, True)[:-1]
    if torch.is_grad_enabled():
        for value in inputs:
            if isinstance(value, Tensor) and value.requires_grad:
                return EAGER[norm.name, kind].apply(*inputs, True)
    with below_autograd():
        return operator.overload(*inputs, False)[:-1]


def _double(param: Any) -> Any:
    """Kernels read narrow parameters beside narrow data only."""
    return param.double() if isinstance(param, Tensor) and param.is_floating_point() else param


def _register(norm: Norm, operator: Operator) -> None:
    """Tells PyTorch of an operator's shapes and gradient."""
    kind, name = operator.kind, operator.overload.name()

    def fake(*arguments: Any) -> tuple[Tensor, ...]:
        a = operator.by_name(arguments)  # the dispatcher leaves out what has its default value
        num_stats = _library.check_call(norm.name, kind, a)
        return (_fake_backward if kind == BACKWARD else _fake_forward)(norm, a, num_stats)

    torch.library.register_fake(name, fake)
    torch.library.register_autograd(
        name, lambda ctx, *grads: backward(ctx, norm, kind, *grads), setup_context=setup_context(norm, kind)
    )


def _fake_forward(norm: Norm, a: dict[str, Any], num_stats: int) -> tuple[Tensor, ...]:
    x = a["x"]
    wide = torch.promote_types(x.dtype, torch.float32)
    stats = x.new_empty((*x.shape[:-1], num_stats) if a["keep_stats"] else (0,), dtype=wide)
    return (*[x.new_empty(x.shape) for _ in range(1 + ("residual" in a))], stats)


def _fake_backward(norm: Norm, a: dict[str, Any], num_stats: int) -> tuple[Tensor, ...]:
    x, dparams = a["x"], []
    for i, param in enumerate(norm.params):
        given = a[param] is not None and a["wanted"] >> i & 1
        dparams.append(a[param].new_empty(a[param].shape) if given else x.new_empty(0))
    return (x.new_empty(x.shape), *dparams)


for _norm in NORMS.values():
    for _operator in _norm.operators:
        if _operator is not None:
            _register(_norm, _operator)
_sharding.register_when_needed()
