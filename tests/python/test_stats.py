"""seednorm.stats against the same statistics computed from all rows at once."""

import math

import pytest
import seednorm
import torch
import torch._dynamo.testing
from torch import nn

FORMS = [
    {},
    dict(num_heads=4),
    dict(sigma="softsign", dot_scale=0.5, alpha_form="scalar"),
    dict(gamma_form="plus_one", alpha_form="none"),
    dict(gamma_form="none"),
    dict(beta_form="elementwise"),
    dict(beta_form="none"),
]


def make(form, dim=16):
    torch.manual_seed(0)
    layer = seednorm.SeeDNorm(dim, **form)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape) * 0.5)
    return layer


def rows(n=200, dim=16):
    # A mean, so that u and |x| are correlated.
    return (torch.randn(n, dim) + 0.5) * torch.exp2(torch.randn(n, 1))


def expected_stats(layer, x):
    x, heads = x.double(), layer.num_heads
    if layer.beta is None:
        u, share = layer_sigma(layer, layer.dot_scale * x), math.nan
    else:
        products = x * layer.beta.double()
        if layer.beta_form == "elementwise":
            u, sizes = layer_sigma(layer, layer.dot_scale * products), products.abs()
        else:
            products = products.unflatten(-1, (heads, -1))
            u, sizes = layer_sigma(layer, layer.dot_scale * products.sum(-1)), products.abs()
        share = (sizes.amax(-1) / sizes.sum(-1)).mean().item()
    lengths = x.norm(dim=-1, keepdim=True).expand_as(u)
    correlation = torch.corrcoef(torch.stack([u.flatten(), lengths.flatten()]))[0, 1].item()
    alpha = torch.ones(16) if layer.alpha is None else layer.alpha.expand(16)
    gamma = layer.weight if layer.weight is None or layer.gamma_form == "vector" else 1 + layer.weight
    return dict(
        saturated=(u.abs() > 0.95).double().mean().item(),
        mean=u.mean().item(),
        variance=u.var(correction=0).item(),
        correlation=correlation,
        top_share=share,
        alpha_gamma=math.nan if gamma is None else (alpha.norm() / gamma.norm()).item(),
    )


def layer_sigma(layer, z):
    return seednorm.reference.SIGMAS[layer.sigma](z)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_statistics_of_all_rows(form):
    layer, x = make(form), rows()
    with seednorm.stats(nn.Sequential(layer), every=1, rows=1000) as stats:
        layer(x[:50])
        layer(x[50:].reshape(3, 50, 16))
    result = stats["0"]
    assert (result.calls, result.rows) == (2, 200)
    for name, value in expected_stats(layer, x).items():
        assert getattr(result, name) == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), name


def test_only_every_kth_call_and_some_rows_are_looked_at():
    layer = make({})
    with seednorm.stats(nn.Sequential(layer), every=4, rows=10) as stats:
        for _ in range(9):
            layer(rows(95))
        layer(rows(3))
    assert (stats["0"].calls, stats["0"].rows) == (10, 3 * 10)


def test_sampled_rows_are_spread_evenly():
    layer, x = make({}), rows(100)
    with seednorm.stats(nn.Sequential(layer), every=1, rows=10) as stats:
        layer(x)
    assert stats["0"].mean == pytest.approx(expected_stats(layer, x[::10])["mean"], rel=1e-4)


def test_training_is_not_touched():
    model = nn.Sequential(make(dict(dropout=0.5)), nn.Linear(16, 16), make({}))
    x = rows()

    def step():
        torch.manual_seed(1)
        model.zero_grad()
        y = model(x)
        y.square().mean().backward()
        return [y, *[p.grad.clone() for p in model.parameters()]]

    plain = step()
    with seednorm.stats(model, every=1):
        watched = step()
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_it_ends_with_the_context_and_can_go_on():
    model = nn.Sequential(make({}))
    stats = seednorm.stats(model, every=1)
    model(rows())
    with stats:
        model(rows())
        assert stats["0"].calls == 1  # while it runs
    model(rows())
    assert stats["0"].calls == 1
    with pytest.raises(RuntimeError, match="mine"), stats:
        model(rows())
        raise RuntimeError("mine")
    model(rows())
    assert stats["0"].calls == 2
    assert not model[0]._forward_hooks


def test_mapping_names_and_table():
    model = nn.ModuleDict(
        {
            "a": make({}),
            "deep": nn.Sequential(nn.Linear(16, 16), make(dict(num_heads=2))),
            "ada": seednorm.AdaSeeDNorm(16),
            "rms": seednorm.RMSNorm(16),
        }
    )
    with seednorm.stats(model) as stats:
        model["a"](rows())
        model["ada"](rows(), torch.zeros(200, 16), torch.zeros(200, 16))
    assert list(stats) == ["a", "deep.1", "ada"] and len(stats) == 3
    assert stats["deep.1"].calls == 0 and math.isnan(stats["deep.1"].mean)
    assert stats["ada"].mean == stats["ada"].variance == 0 and math.isnan(stats["ada"].correlation)
    assert stats["ada"].alpha_gamma == pytest.approx(1)
    lines = str(stats).splitlines()
    assert len(lines) == 4 and lines[2].startswith("deep.1")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_and_empty_batches(dtype):
    layer = make({}).to(dtype)
    x = rows().to(dtype)
    with seednorm.stats(nn.Sequential(layer), every=1, rows=1000) as stats:
        layer(x[:0])
        layer(x)
    assert stats["0"].mean == pytest.approx(expected_stats(layer, x)["mean"], rel=1e-4)


def test_keyword_and_residual():
    layer, x = make({}), rows()
    expected = expected_stats(layer, x)["mean"]
    for call in (
        lambda: layer(x=x),
        lambda: layer(x - 1, torch.ones_like(x)),
        lambda: layer(x - 1, residual=x * 0 + 1),
    ):
        with seednorm.stats(nn.Sequential(layer), every=1, rows=1000) as stats:
            call()
        assert stats["0"].mean == pytest.approx(expected, rel=1e-4)


def test_a_model_compiled_afterwards_is_watched_without_compiling_for_each_call():
    model, x = nn.Sequential(nn.Linear(16, 16), make({})), rows(10)
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(model, backend=counter)
    with seednorm.stats(model, every=4) as stats:
        for _ in range(20):
            compiled(x)
    assert (stats["1"].calls, stats["1"].rows) == (20, 50)
    assert counter.frame_count <= 3


def test_errors():
    with pytest.raises(ValueError, match="expected one with SeeDNorm layers, found none"):
        seednorm.stats(nn.Sequential(nn.RMSNorm(8)))
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        seednorm.stats(nn.Sequential(make({})), every=0)
