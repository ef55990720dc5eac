"""torch.ops.seednorm: meta functions and gradients of the operators, for whatever norms the library has.

Each norm has `name(x, parameters, options) -> (y, stats)`, `name_backward`, and where the library fuses a residual
add `add_name(x, residual, ...) -> (y, sum, stats)`. Kept for backward: x (or sum), stats and the parameters.
"""

from typing import Any

import torch
from torch import Tensor

from . import _library, reference

FORWARD, ADD_FORWARD, BACKWARD = range(3)

below_autograd = torch._C._AutoDispatchBelowAutograd
transforms_active = torch._C._are_functorch_transforms_active


class Norm:
    """The operators of one norm, and what their schemas say of their arguments."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.forward = getattr(torch.ops.seednorm, name).default
        self.backward = getattr(torch.ops.seednorm, f"{name}_backward").default
        self.add_forward = getattr(getattr(torch.ops.seednorm, f"add_{name}", None), "default", None)
        arguments = [argument.name for argument in self.forward._schema.arguments]
        params = [a.name for a in self.forward._schema.arguments[1:] if str(a.type) == "Optional[Tensor]"]
        self.params = tuple(param for param in params if param != "seed")
        self.options = tuple(arguments[1 + len(self.params) : -1])  # seed, where there is one, comes last
        self.has_seed = "seed" in self.options
        self.function = _eager_function(self, FORWARD)
        self.add_function = _eager_function(self, ADD_FORWARD) if self.add_forward else None
        _register(self)

    def overload(self, kind: int) -> Any:
        return (self.forward, self.add_forward, self.backward)[kind]


def call(norm: Norm, kind: int, *inputs: Any) -> tuple[Tensor, ...]:
    """y, or y and sum, of norm's operator on all of its arguments but keep_stats, by the shortest way there is.

    Autograd registered with the operator costs tens of microseconds a call when not compiled.
    """
    overload = norm.add_forward if kind else norm.forward
    if torch.compiler.is_compiling() or transforms_active():
        return overload(*inputs, torch.is_grad_enabled())[:-1]
    if torch.is_grad_enabled():
        for value in inputs:
            if isinstance(value, Tensor) and value.requires_grad:
                return (norm.add_function if kind else norm.function).apply(*inputs)
    with below_autograd():
        return overload(*inputs, False)[:-1]


def _eager_function(norm: Norm, kind: int) -> type[torch.autograd.Function]:
    """The operator's gradient, by itself: what torch.library.register_autograd makes does more each call."""

    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        with below_autograd():
            outputs = norm.overload(kind)(*inputs, True)
        _save(ctx, norm, kind, inputs, outputs)
        return outputs[:-1]

    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return _backward(ctx, norm, kind, *grads)

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(f"{norm.name}_{kind}", (torch.autograd.Function,), members)


def _save(ctx: Any, norm: Norm, kind: int, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
    """Keeps what backward needs; `inputs` has no keep_stats."""
    first = 2 if kind == ADD_FORWARD else 1
    options = first + len(norm.params)
    x = outputs[1] if kind == ADD_FORWARD else inputs[0]
    seed = inputs[-1] if norm.has_seed else None
    ctx.save_for_backward(x, outputs[-1], seed, *inputs[first:options])
    ctx.options = inputs[options : len(inputs) - norm.has_seed]
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, norm: Norm, kind: int, dy: Tensor | None, dsum: Tensor | None = None) -> tuple[Any, ...]:
    """Gradients of all arguments of the forward operator but keep_stats."""
    x, stats, seed, *params = ctx.saved_tensors
    first = 2 if kind == ADD_FORWARD else 1
    num_options = len(norm.options)
    if dy is None:
        return (*[dsum] * first, *[None] * (len(params) + num_options))
    wanted = 0
    for i, needed in enumerate(ctx.needs_input_grad[first : first + len(params)]):
        wanted |= needed << i
    arguments = [dy, x, *params, stats]
    if norm.add_forward:
        arguments.append(dsum)
    arguments += [*ctx.options, *[seed] * norm.has_seed, wanted]
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        dx, *dparams = norm.backward(*arguments)
    else:
        with below_autograd():
            dx, *dparams = norm.backward(*arguments)
    dparams = [grad if wanted >> i & 1 else None for i, grad in enumerate(dparams)]
    return (*[dx] * first, *dparams, *[None] * num_options)


def _double_backward(ctx: Any, norm: Norm, ddx: Tensor | None, *ddparams: Tensor | None) -> tuple[Any, ...]:
    """Gradients of the backward operator's arguments, through the formula in plain PyTorch."""
    create_graph = torch.is_grad_enabled()
    dy, x, seed, *params = ctx.saved_tensors
    with torch.enable_grad():
        # Views of their own, so that the inputs' histories do not join: dy may depend on x.
        dy, x, *params = [None if t is None else _leaf(t) for t in (dy, x, *params)]
        y = _formula(norm, x, params, ctx.options, seed)
        inputs = [x, *params]
        given = [i for i, t in enumerate(inputs) if t is not None]
        first = torch.autograd.grad(y, [inputs[i] for i in given], dy, create_graph=True, allow_unused=True)
        pairs = [(grad, (ddx, *ddparams)[i]) for i, grad in zip(given, first, strict=True)]
        pairs = [(grad, other) for grad, other in pairs if grad is not None and other is not None and grad.requires_grad]
        wanted = [dy, *[inputs[i] for i in given]]
        second = torch.autograd.grad(
            [grad for grad, _ in pairs], wanted, [other for _, other in pairs],
            create_graph=create_graph, allow_unused=True,
        )
    ddy, grads = second[0], dict(zip(given, second[1:], strict=True))
    dsum = [ddx] if norm.add_forward else []
    return (ddy, *[grads.get(i) for i in range(len(inputs))], None, *dsum, *[None] * (len(norm.options) + 1))


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()


def _formula(norm: Norm, x: Tensor, params: list[Tensor | None], options: tuple[Any, ...], seed: Tensor | None) -> Tensor:
    """seednorm.reference's formula of the norm, with the operators' options."""
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
        keep = reference.dropout_keep(rows, x.shape[-1], dropout, int(seed[0]), int(seed[1]), x.device)
        named["keep"] = keep.view(x.shape)
    return getattr(reference, norm.name)(x, *params, **named)


def _register(norm: Norm) -> None:
    """Tells PyTorch of shapes and gradients."""
    for kind in (FORWARD, ADD_FORWARD):
        if norm.overload(kind) is not None:
            _register_forward(norm, kind)

    def fake_backward(*arguments: Any) -> tuple[Tensor, ...]:
        arguments = _fill(norm.backward, arguments)
        _library.check_call(norm.name, BACKWARD, arguments)
        x, wanted = arguments[1], arguments[-1]
        params = arguments[2 : 2 + len(norm.params)]
        dparams = [
            x.new_empty(0) if param is None or not wanted >> i & 1 else param.new_empty(param.shape)
            for i, param in enumerate(params)
        ]
        return (x.new_empty(x.shape), *dparams)

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        num_params = len(norm.params)
        options = 3 + num_params + (norm.add_forward is not None)  # after dy, x, the parameters, stats and dsum
        seed = inputs[-2] if norm.has_seed else None
        ctx.save_for_backward(*inputs[:2], seed, *inputs[2 : 2 + num_params])
        ctx.options = inputs[options : len(inputs) - 1 - norm.has_seed]
        ctx.set_materialize_grads(False)

    name = f"seednorm::{norm.name}_backward"
    torch.library.register_fake(name, fake_backward)
    torch.library.register_autograd(name, lambda ctx, *grads: _double_backward(ctx, norm, *grads), setup_context=setup)


def _register_forward(norm: Norm, kind: int) -> None:
    overload = norm.overload(kind)

    def fake(*arguments: Any) -> tuple[Tensor, ...]:
        arguments = _fill(overload, arguments)
        num_stats = _library.check_call(norm.name, kind, arguments)
        x, keep_stats = arguments[0], arguments[-1]
        wide = torch.promote_types(x.dtype, torch.float32)
        stats = x.new_empty((*x.shape[:-1], num_stats) if keep_stats else (0,), dtype=wide)
        return (*[x.new_empty(x.shape) for _ in range(1 + kind)], stats)

    def setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        if not inputs[-1]:
            raise ValueError(f"[{norm.name}] keep_stats: expected True where gradients are needed, got False")
        ctx.mark_non_differentiable(output[-1])
        _save(ctx, norm, kind, inputs[:-1], output)

    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        return (*_backward(ctx, norm, kind, *grads[:-1]), None)

    name = f"seednorm::{'add_' * kind}{norm.name}"
    torch.library.register_fake(name, fake)
    torch.library.register_autograd(name, backward, setup_context=setup)


def _fill(overload: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with the defaults, which the dispatcher leaves out."""
    return (*arguments, *[a.default_value for a in overload._schema.arguments[len(arguments) :]])


NORMS = {name: Norm(name) for name in _library.norm_names()}
