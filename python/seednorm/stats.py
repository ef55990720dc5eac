"""Live statistics of SeeDNorm's dynamic coefficient: does it do something, and is it saturated?

    with seednorm.stats(model) as stats:
        train(model, steps=500)
    print(stats)
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from . import reference
from ._fold import normalized_input
from ._table import table
from .modules import AdaSeeDNorm, SeeDNorm

SATURATED = 0.95  # |u| above this counts as saturated: tanh' is below 0.1 there


@dataclass(frozen=True)
class LayerStats:
    """Of one layer's sampled rows. NaN where there is nothing to divide by."""

    calls: int  # of forward, all of them
    rows: int  # sampled
    saturated: float  # share of u with |u| > 0.95
    mean: float  # of u
    variance: float  # of u
    correlation: float  # Pearson's, of u with the row's length |x|
    top_share: float  # of the largest |x_i beta_i| of a head in their sum, mean over rows and heads
    alpha_gamma: float  # |alpha| / |gamma|, as they are now


class Stats(Mapping[str, LayerStats]):
    """Context manager, and mapping from a layer's name to its LayerStats so far. str() is a table."""

    def __init__(self, model: nn.Module, every: int = 32, rows: int = 64) -> None:
        for name, value in (("every", every), ("rows", rows)):
            if value < 1:
                raise ValueError(f"[stats] {name}: expected at least 1, got {value}")
        self._samplers = {
            name: _Sampler(module, every, rows)
            for name, module in model.named_modules()
            if isinstance(module, SeeDNorm | AdaSeeDNorm)
        }
        if not self._samplers:
            raise ValueError("[stats] model: expected one with SeeDNorm layers, found none")

    def __enter__(self) -> "Stats":
        for sampler in self._samplers.values():
            sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        for sampler in self._samplers.values():
            sampler.stop()

    def __getitem__(self, name: str) -> LayerStats:
        return self._samplers[name].result()

    def __iter__(self) -> Iterator[str]:
        return iter(self._samplers)

    def __len__(self) -> int:
        return len(self._samplers)

    def __str__(self) -> str:
        header = ("layer", "calls", "rows", "|u|>0.95", "mean u", "var u", "corr |x|", "top x.beta", "|alpha|/|gamma|")
        rows = []
        for name, s in self.items():
            values = (s.saturated, s.mean, s.variance, s.correlation, s.top_share, s.alpha_gamma)
            rows.append((name, s.calls, s.rows, *values))
        return table(header, rows)


def stats(model: nn.Module, every: int = 32, rows: int = 64) -> Stats:
    """Collects LayerStats of every SeeDNorm and AdaSeeDNorm of the model while the context is open.

    Of each layer's calls the first and then every `every`-th is looked at, and of its rows at most `rows`, evenly
    spaced; u is computed anew from x and beta. Nothing is read back from the device before a result is asked for, and
    outputs, gradients and generators are not touched. Rows are the last dimension: x is [..., D].

    It works by forward hooks. A model under torch.compile sees only those that are there when it is first called, and
    breaks its graph at each of them, so that it cannot have fullgraph=True: better watch the model uncompiled.

    Raises ValueError for a model without such layers, and every or rows below 1.
    """
    return Stats(model, every, rows)


class _Sampler:
    """Sums over a layer's sampled rows, kept on the device."""

    def __init__(self, layer: SeeDNorm | AdaSeeDNorm, every: int, rows: int) -> None:
        self.layer, self.every, self.max_rows = layer, every, rows
        self.calls, self.rows = 0, 0
        self.sums: Tensor | None = None
        self.hook: RemovableHandle | None = None

    def start(self) -> None:
        if self.hook is None:
            self.opaque = torch.compiler.disable(self._look)
            self.hook = self.layer.register_forward_hook(self._route, with_kwargs=True)

    def stop(self) -> None:
        if self.hook is not None:
            self.hook.remove()
            self.hook = None

    def _route(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        # A compiler would guard on the number of calls, and compile again for each.
        look = self.opaque if torch.compiler.is_compiling() else self._look
        look(layer, args, kwargs, output)

    def _look(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        self.calls += 1
        if (self.calls - 1) % self.every == 0:
            with torch.no_grad():
                self._add(normalized_input(args, kwargs, output).detach())

    def _add(self, x: Tensor) -> None:
        x = x.reshape(-1, x.shape[-1])
        x = x[:: max(1, -(-x.shape[0] // self.max_rows))]
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        u, share = (t.double() for t in _coefficient(self.layer, x))
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True).double().expand_as(u)
        values = torch.stack([torch.ones_like(u), u, length, (u.abs() > SATURATED).double()]).flatten(1)
        known = ~share.isnan()
        # The products of all pairs, with ones among them, are all of the sums but those of share.
        sums = torch.cat([(values @ values.T).flatten(), known.sum()[None], share.nan_to_num().sum()[None]])
        self.sums = sums if self.sums is None else self.sums + sums
        self.rows += x.shape[0]

    def result(self) -> LayerStats:
        layer = self.layer
        pairs = [math.nan] * 16 if self.sums is None else self.sums[:16].tolist()
        known, share = (0.0, 0.0) if self.sums is None else self.sums[16:].tolist()
        n = pairs[0]
        u, length, saturated, _, uu, u_length, _, _, _, length2 = (_ratio(pair, n) for pair in pairs[1:11])
        variance = max(uu - u * u, 0.0)
        spread = math.sqrt(variance * max(length2 - length * length, 0.0))
        return LayerStats(
            calls=self.calls,
            rows=self.rows,
            saturated=saturated,
            mean=u,
            variance=variance,
            correlation=_ratio(u_length - u * length, spread),
            top_share=_ratio(share, known),
            alpha_gamma=_ratio(_length(layer.alpha, layer.dim), _gamma_length(layer)),
        )


def _coefficient(layer: SeeDNorm | AdaSeeDNorm, x: Tensor) -> tuple[Tensor, Tensor]:
    """u of rows x [n, D], one a head or a column, and the largest dimension's share of z, one a head or a row."""
    if layer.beta is None:  # u = sigma(x), without a dot product
        return reference.SIGMAS[layer.sigma](layer.dot_scale * x), x.new_full((x.shape[0], 1), math.nan)
    products = x * layer.beta.to(x.dtype)
    if getattr(layer, "beta_form", "vector") == "elementwise":
        z, heads = products, products.unsqueeze(1)
    else:
        heads = products.unflatten(-1, (layer.num_heads, -1))
        z = heads.sum(-1)
    sizes = heads.abs()
    return reference.SIGMAS[layer.sigma](layer.dot_scale * z), sizes.amax(-1) / sizes.sum(-1)


def _length(parameter: Tensor | None, dim: int) -> float:
    """Euclidean length of a parameter's [D] values; None stands for ones, [1] for D times the same."""
    if parameter is None:
        return math.sqrt(dim)
    return parameter.detach().double().expand(dim).norm().item()


def _gamma_length(layer: SeeDNorm | AdaSeeDNorm) -> float:
    if isinstance(layer, AdaSeeDNorm):  # Eq. 8 has 1 in gamma's place
        return math.sqrt(layer.dim)
    if layer.weight is None:
        return 0.0
    return _length(layer.weight + 1 if layer.gamma_form == "plus_one" else layer.weight, layer.dim)


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.nan
