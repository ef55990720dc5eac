"""Gradients of the operators: what to keep, which kernel to call, and second derivatives through the formula.

`setup` and `backward` below take and give what torch.library.register_autograd and torch.autograd.Function both want:
all arguments of the operator, with the defaults.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import _library, reference

if TYPE_CHECKING:
    from ._ops import Norm

FORWARD, ADD_FORWARD, BACKWARD = range(3)

#: Skips what autograd would do in Python, to have nothing left to record.
below_autograd = torch._C._AutoDispatchBelowAutograd
transforms_active = torch._C._are_functorch_transforms_active

Grads = tuple[Tensor | None, ...]


def setup(ctx: Any, norm: "Norm", kind: int, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
    """Keeps x (of a residual add the sum), the parameters, stats and, with dropout, the seed."""
    ctx.set_materialize_grads(False)
    first = norm.first_param(kind)
    options = norm.first_option(kind)
    seed = inputs[-2] if norm.has_seed else None
    ctx.options = inputs[options : len(inputs) - 1 - norm.has_seed]
    params = inputs[first : first + len(norm.params)]
    if kind == BACKWARD:
        ctx.has_dsum = bool(norm.add_forward) and inputs[options - 1] is not None
        ctx.save_for_backward(inputs[0], inputs[1], seed, *params)
        return
    if not inputs[-1]:
        raise ValueError(f"[{norm.name}] keep_stats: expected True where gradients are needed, got False")
    ctx.save_for_backward(outputs[1] if kind == ADD_FORWARD else inputs[0], outputs[-1], seed, *params)


def backward(ctx: Any, norm: "Norm", kind: int, *grads: Tensor | None) -> Grads:
    """Gradients of all arguments. `grads` may leave out that of stats."""
    if kind == BACKWARD:
        return _double_backward(ctx, norm, *grads)
    dy, dsum = grads[0], grads[1] if kind == ADD_FORWARD else None
    x, stats, seed, *params = ctx.saved_tensors
    first = norm.first_param(kind)
    nothing = (None,) * (len(norm.options) + 1)
    if dy is None:
        return (*[dsum] * first, *[None] * len(params), *nothing)
    wanted = 0
    for i in range(len(params)):
        wanted |= ctx.needs_input_grad[first + i] << i
    sums = (dsum,) if norm.add_forward else ()
    dx, *dparams = norm.run_backward(dy, x, *params, stats, *sums, *ctx.options, *[seed] * norm.has_seed, wanted)
    return (*[dx] * first, *[grad if wanted >> i & 1 else None for i, grad in enumerate(dparams)], *nothing)


def _double_backward(ctx: Any, norm: "Norm", ddx: Tensor | None, *ddparams: Tensor | None) -> Grads:
    """Gradients of the backward operator's arguments dy, x, the parameters and dsum."""
    create_graph = torch.is_grad_enabled()
    dy, x, seed, *params = ctx.saved_tensors
    with torch.enable_grad():
        dy, x = _own(dy), _own(x)
        params = [None if t is None else _own(t) for t in params]
        given = {i: t for i, t in enumerate([x, *params]) if t is not None}
        y = _formula(norm, x, params, ctx.options, seed)
        first = torch.autograd.grad(y, list(given.values()), dy, create_graph=True, allow_unused=True)
        # Gradients of outputs that do not depend on anything, or are not asked about, have no say.
        pairs = [(grad, (ddx, *ddparams)[i]) for i, grad in zip(given, first, strict=True)]
        pairs = [(g, h) for g, h in pairs if g is not None and h is not None and g.requires_grad]
        ddy, *second = torch.autograd.grad(
            [g for g, _ in pairs],
            [dy, *given.values()],
            [h for _, h in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    grads = dict(zip(given, second, strict=True))
    dsum = [ddx if ctx.has_dsum else None] if norm.add_forward else []
    nothing = [None] * (len(norm.options) + 1)
    return (ddy, *[grads.get(i) for i in range(1 + len(params))], None, *dsum, *nothing)


def _own(tensor: Tensor) -> Tensor:
    """A tensor of the same values whose gradient is its own: dy, say, may have been made from x."""
    return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()


def _formula(
    norm: "Norm", x: Tensor, params: list[Tensor | None], options: tuple[Any, ...], seed: Tensor | None
) -> Tensor:
    """seednorm.reference's formula of the norm, with the operator's options."""
    named = dict(zip(norm.options, options, strict=False))
    if "sigma" in named:
        named["sigma"] = _library.SIGMAS[named["sigma"]]
    if named.pop("plus_one", False):
        named["gamma_form"] = "plus_one"
    if named.pop("elementwise", False):
        named["beta_form"] = "elementwise"
    dropout = named.pop("dropout", 0.0)
    if seed is not None and dropout > 0:
        rows = x.numel() // x.shape[-1]
        kept = reference.dropout_keep(rows, x.shape[-1], dropout, int(seed[0]), int(seed[1]), x.device) != 0
        named["keep"] = kept.view(x.shape).to(torch.promote_types(x.dtype, torch.float32)) / (1 - dropout)
    return getattr(reference, norm.name)(x, *params, **named)


def eager_function(norm: "Norm", kind: int) -> type[torch.autograd.Function]:
    """A forward operator with its gradient, without stats: the shortest way to both when nothing is traced."""

    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        with below_autograd():
            outputs = norm.overloads[kind](*inputs)
        setup(ctx, norm, kind, inputs, outputs)
        return outputs[:-1]

    members = {
        "forward": staticmethod(forward),
        "backward": staticmethod(lambda ctx, *grads: backward(ctx, norm, kind, *grads)),
    }
    return type(f"{norm.name}_{kind}", (torch.autograd.Function,), members)


def transform_function(norm: "Norm", kind: int) -> type[torch.autograd.Function]:
    """Any of the operators with its gradient, in the form that torch.func needs: slower to call."""

    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        with below_autograd():
            return norm.overloads[kind](*inputs)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        if kind != BACKWARD:
            ctx.mark_non_differentiable(output[-1])
        setup(ctx, norm, kind, inputs, output)

    members = {
        "forward": staticmethod(forward),
        "setup_context": staticmethod(setup_context),
        "backward": staticmethod(lambda ctx, *grads: backward(ctx, norm, kind, *grads)),
    }
    return type(f"{norm.name}_{kind}_transform", (torch.autograd.Function,), members)
