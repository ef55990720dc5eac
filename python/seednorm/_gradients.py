"""Gradients of the operators: what to keep, which kernel to call, and second derivatives through the formula.

`setup` and `backward` below take and give what torch.library.register_autograd and torch.autograd.Function both want:
all arguments of the operator, with the defaults.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import _formula
from ._schema import ADD_FORWARD, BACKWARD, FORWARD, NORMS, Norm

#: Skips what autograd would do in Python, to have nothing left to record.
below_autograd = torch._C._AutoDispatchBelowAutograd
transforms_active = torch._C._are_functorch_transforms_active

Grads = tuple[Tensor | None, ...]


def transformed() -> bool:
    """Whether a transform of torch.func or forward-mode differentiation is under way, which kernels know nothing of."""
    return transforms_active() or forward_ad._current_level >= 0


def only_differentiated() -> bool:
    """Whether the one transform is torch.func.grad or vjp: that much an autograd.Function can do."""
    if torch.compiler.is_compiling() or forward_ad._current_level >= 0:
        return False
    stack = torch._C._functorch.get_interpreter_stack()
    return len(stack) == 1 and stack[0].key() == torch._C._functorch.TransformType.Grad


def setup(ctx: Any, norm: Norm, kind: int, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
    """Keeps x (of a residual add the sum), the parameters, stats and, with dropout, the seed."""
    ctx.set_materialize_grads(False)
    a = norm.operator(kind).by_name(inputs)
    ctx.options = {name: a[name] for name in norm.options}
    kept = [a.get("seed"), *[a[param] for param in norm.params]]
    if kind == BACKWARD:
        ctx.has_dsum = a.get("dsum") is not None
        ctx.save_for_backward(a["dy"], a["x"], *kept)
        return
    if not a["keep_stats"]:
        raise ValueError(f"[{norm.name}] keep_stats: expected True where gradients are needed, got False")
    ctx.save_for_backward(outputs[1] if kind == ADD_FORWARD else a["x"], outputs[-1], *kept)


def backward(ctx: Any, norm: Norm, kind: int, *grads: Tensor | None) -> Grads:
    """Gradients of all arguments. `grads` may leave out that of stats."""
    if kind == BACKWARD:
        return _double_backward(ctx, norm, *grads)
    operator = norm.operator(kind)
    dy, dsum = grads[0], grads[1] if kind == ADD_FORWARD else None
    x, stats, seed, *params = ctx.saved_tensors
    if dy is None:
        return operator.in_order({"x": dsum, "residual": dsum})
    needed = dict(zip(operator.names, ctx.needs_input_grad, strict=False))  # trailing defaults may be left out
    wanted = sum(needed[param] << i for i, param in enumerate(norm.params))
    arguments = dict(zip(norm.params, params, strict=True), **ctx.options)
    dx, *dparams = run_backward(
        norm, {**arguments, "dy": dy, "x": x, "stats": stats, "dsum": dsum, "seed": seed, "wanted": wanted}
    )
    of_params = {p: grad for p, grad in zip(norm.params, dparams, strict=True) if needed[p]}
    return operator.in_order({"x": dx, "residual": dx, **of_params})


def run_backward(norm: Norm, a: dict[str, Any]) -> tuple[Tensor | None, ...]:
    """dx and the gradients of the parameters, differentiable where that may be needed."""
    operator = norm.operator(BACKWARD)
    if transformed():
        if not only_differentiated():
            return _formula.outputs(norm, BACKWARD, a)
        return TRANSFORMED[norm.name, BACKWARD].apply(*operator.values(a), a["wanted"])
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return operator.overload(*operator.values(a), a["wanted"])
    with below_autograd():
        return operator.overload(*operator.values(a), a["wanted"])


def _double_backward(ctx: Any, norm: Norm, ddx: Tensor | None, *ddparams: Tensor | None) -> Grads:
    """Gradients of the backward operator's arguments dy, x, the parameters and dsum."""
    create_graph = torch.is_grad_enabled()
    dy, x, seed, *params = ctx.saved_tensors
    names = ("x", *norm.params)
    with torch.enable_grad():
        dy = _own(dy)
        given = {name: _own(t) for name, t in zip(names, (x, *params), strict=True) if t is not None}
        y = _formula.forward(norm, dict.fromkeys(names) | given | ctx.options | {"seed": seed})
        first = torch.autograd.grad(y, list(given.values()), dy, create_graph=True, allow_unused=True)
        # Gradients of outputs that do not depend on anything, or are not asked about, have no say.
        asked = dict(zip(names, (ddx, *ddparams), strict=True))
        pairs = [(grad, asked[name]) for name, grad in zip(given, first, strict=True)]
        pairs = [(g, h) for g, h in pairs if g is not None and h is not None and g.requires_grad]
        ddy, *second = torch.autograd.grad(
            [g for g, _ in pairs],
            [dy, *given.values()],
            [h for _, h in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    grads = dict(zip(given, second, strict=True)) | {"dy": ddy, "dsum": ddx if ctx.has_dsum else None}
    return norm.operator(BACKWARD).in_order(grads)


def _own(tensor: Tensor) -> Tensor:
    """A tensor of the same values whose gradient is its own: dy, say, may have been made from x."""
    return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()


def _eager_function(norm: Norm, kind: int) -> type[torch.autograd.Function]:
    """A forward operator with its gradient, without stats: the shortest way to both when nothing is traced."""
    overload = norm.operator(kind).overload

    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        with below_autograd():
            outputs = overload(*inputs)
        setup(ctx, norm, kind, inputs, outputs)
        return outputs[:-1]

    members = {
        "forward": staticmethod(forward),
        "backward": staticmethod(lambda ctx, *grads: backward(ctx, norm, kind, *grads)),
    }
    return type(f"{norm.name}_{kind}", (torch.autograd.Function,), members)


def _transformed_function(norm: Norm, kind: int) -> type[torch.autograd.Function]:
    """Any of the operators with its gradient, in the form that torch.func needs: slower to call."""
    overload = norm.operator(kind).overload

    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        with below_autograd():
            return overload(*inputs)

    members = {
        "forward": staticmethod(forward),
        "setup_context": staticmethod(setup_context(norm, kind)),
        "backward": staticmethod(lambda ctx, *grads: backward(ctx, norm, kind, *grads)),
    }
    return type(f"{norm.name}_{kind}_transformed", (torch.autograd.Function,), members)


def setup_context(norm: Norm, kind: int) -> Any:
    """`setup` for the operator with all of its outputs."""

    def set_up(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        if kind != BACKWARD:
            ctx.mark_non_differentiable(output[-1])
        setup(ctx, norm, kind, inputs, output)

    return set_up


_KINDS = [(norm, op.kind) for norm in NORMS.values() for op in norm.operators if op is not None]
EAGER = {(norm.name, kind): _eager_function(norm, kind) for norm, kind in _KINDS if kind in (FORWARD, ADD_FORWARD)}
TRANSFORMED = {(norm.name, kind): _transformed_function(norm, kind) for norm, kind in _KINDS}
