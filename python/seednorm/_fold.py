"""Folds SeeDNorm's dynamic coefficient into gamma: what `convert(to="rms_norm")` needs when beta is not zero."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from . import reference
from .modules import RMSNorm, SeeDNorm


def coefficient_is_zero(layer: SeeDNorm) -> bool:
    """Whether the layer is RMSNorm as it stands: u = sigma(0) = 0, or alpha = 0."""
    if layer.alpha is not None and not layer.alpha.any():
        return True
    return layer.sigma != "sigmoid" and layer.beta is not None and not layer.beta.any()


def coefficient(layer: SeeDNorm, x: Tensor) -> Tensor:
    """u alpha of a layer's input x [..., D], without dropout, as [rows, D] in float32 (float64 for float64 x)."""
    value = reference.dynamic_coefficient(
        x, layer.alpha, layer.beta, layer.num_heads, layer.sigma, layer.dot_scale, beta_form=layer.beta_form
    )
    return value.expand_as(x).reshape(-1, x.shape[-1])


def normalized_input(args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Tensor:
    """What a layer has normalized, as a forward hook sees it: x, or with a residual the sum that it returned."""
    return output[1] if isinstance(output, tuple) else args[0] if args else kwargs["x"]


class MeanCoefficient:
    """Sums over the rows that a layer sees, in float64, for its mean coefficient m and the error of using that."""

    def __init__(self, layer: SeeDNorm) -> None:
        self.layer = layer
        device = layer.alpha.device if layer.alpha is not None else None
        self.rows = 0
        self.sums = torch.zeros(5, layer.dim, dtype=torch.float64, device=device)

    def add(self, x: Tensor) -> None:
        """Counts rows x [..., D]."""
        with torch.no_grad():
            c = coefficient(self.layer, x).double()
            n2 = reference.rms_norm(x.double(), eps=self.layer.eps).reshape(c.shape).square()
            gain = c if self.layer.weight is None else c + self.gamma()
            terms = (c, n2, n2 * c, n2 * c * c, n2 * gain * gain)
            self.sums = self.sums.to(c.device) + torch.stack([term.sum(0) for term in terms])
            self.rows += c.shape[0]

    def gamma(self) -> Tensor:
        """The static gain, [D]: gamma, 1 + gamma or 0."""
        if self.layer.weight is None:
            return torch.zeros_like(self.sums[0])
        gamma = self.layer.weight.detach().double()
        return gamma + 1 if self.layer.gamma_form == "plus_one" else gamma

    def mean(self) -> Tensor:
        """m = E[u alpha], [D]."""
        return self.sums[0] / self.rows

    def folded(self) -> Tensor:
        """gamma + m as it will be stored, [D] in gamma's dtype; m where the layer has no gamma."""
        weight = self.layer.weight
        if weight is None:
            any_parameter = next(self.layer.parameters(), self.sums)
            return self.mean().to(any_parameter.device, any_parameter.dtype)
        return (weight.detach().double() + self.mean().to(weight.device)).to(weight.dtype)

    def error(self) -> float:
        """Of the outputs, in the mean square over the rows: |y - (gamma + m) x / RMS(x)| / |y|."""
        m = self.mean()
        _, n2, n2c, n2cc, y2 = self.sums
        wrong = (n2cc - 2 * m * n2c + m * m * n2).sum().clamp(min=0)
        return (wrong / y2.sum()).sqrt().item()


def measure(
    model: nn.Module, layers: Iterable[SeeDNorm], data: Callable[[nn.Module], Any] | Iterable[Any]
) -> dict[SeeDNorm, MeanCoefficient]:
    """Runs the model on data, without gradients and in evaluation mode, and watches the layers.

    data: a function that runs the model it is given, or model inputs, each a tensor, a tuple of positional or a
    mapping of keyword arguments.
    """
    means = {layer: MeanCoefficient(layer) for layer in layers}

    def look(layer: SeeDNorm, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        means[layer].add(normalized_input(args, kwargs, output))

    hooks = [layer.register_forward_hook(look, with_kwargs=True) for layer in means]
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            if callable(data):
                data(model)
            else:
                for inputs in data:
                    _call(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return means


def fold(layer: SeeDNorm, folded: Tensor | None, tied: bool) -> RMSNorm:
    """RMSNorm with `folded`, gamma + m, for gamma; with gamma as it is if None is given.

    It has the layer's gamma itself, changed in place, or a new one when others use it too (tied) or there is none.
    """
    any_parameter = next(layer.parameters(), None)
    place: dict[str, Any] = {}
    if any_parameter is not None:
        place = dict(device=any_parameter.device, dtype=any_parameter.dtype)
    form = "vector" if layer.weight is None else layer.gamma_form
    new = RMSNorm(layer.dim, eps=layer.eps, gamma_form=form, **place)
    with torch.no_grad():
        if layer.weight is None:
            new.weight.zero_()
        elif folded is None or not tied:
            new.weight = layer.weight
        if folded is not None:
            new.weight.copy_(folded)
    return new


def _call(model: nn.Module, inputs: Any) -> None:
    if isinstance(inputs, Mapping):
        model(**inputs)
    elif isinstance(inputs, tuple | list):
        model(*inputs)
    else:
        model(inputs)
