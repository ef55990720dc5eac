"""Gradients beyond the plain backward: of gradients, of functional transforms, with dropout."""

import pytest
import torch
from layers import PLAIN, Case, check_close
from seednorm import functional, reference


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_gradcheck(case):
    case = Case(case.norm, scalars=case.scalars, x_shape=(2, 2, 6), c_shape=(2, 6))
    x, params = case.draw(torch.float64)
    assert torch.autograd.gradcheck(lambda x, *p: case.run(x, p), (x, *params))
    assert torch.autograd.gradgradcheck(lambda x, *p: case.run(x, p), (x, *params))


@pytest.mark.parametrize("shape", [(2, 2, 2, 6), (2, 3, 2, 6)])
def test_gradgradcheck_of_conditions_that_lead(shape):
    """Second derivatives pair gamma(c) [B, T, D] with the dimensions of x [B, T, N, D] that the operator pairs it with."""
    case = Case("ada_seed_norm", x_shape=shape, c_shape=(*shape[:2], 6))
    x, params = case.draw(torch.float64)
    assert torch.autograd.gradgradcheck(lambda x, *p: case.run(x, p), (x, *params), fast_mode=True)


@pytest.mark.parametrize("norm", ["seed_norm", "rms_norm", "layer_norm"])
def test_gradgradcheck_of_residual_add(norm):
    case = Case(norm, x_shape=(2, 6))
    x, params = case.draw(torch.float64)
    residual = case.draw(torch.float64, seed=2)[0]
    function = lambda x, r, *p: case.run_added(x, r, p)  # noqa: E731
    assert torch.autograd.gradgradcheck(function, (x, residual, *params))


def test_third_derivative():
    x, params = Case("seed_norm", x_shape=(2, 6)).draw(torch.float64)
    results = []
    for run in (Case("seed_norm").run, Case("seed_norm").formula):
        value = run(x, params).pow(3).sum()
        for _ in range(3):
            (grad,) = torch.autograd.grad(value, x, create_graph=True)
            value = grad.pow(2).sum()
        results.append(grad.detach())
    check_close(results[0], results[1], terms=10**4)


def test_gradient_penalty():
    """The usual use of second derivatives: through backward() with create_graph, into the parameters."""
    x, params = Case("seed_norm").draw()
    results = []
    for run in (Case("seed_norm").run, Case("seed_norm").formula):
        (dx,) = torch.autograd.grad(run(x, params).square().sum(), x, create_graph=True)
        results.append(torch.autograd.grad(dx.square().mean(), params))
    for got, wanted in zip(*results, strict=True):
        check_close(got, wanted, terms=500)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_func_grad(case):
    x, params = case.draw()
    x, params = x.detach(), [p.detach() for p in params]
    every = tuple(range(1 + len(params)))
    got = torch.func.grad(lambda x, *p: case.run(x, p).square().sum(), argnums=every)(x, *params)
    wanted = torch.func.grad(lambda x, *p: case.formula(x, p).square().sum(), argnums=every)(x, *params)
    for a, b in zip(got, wanted, strict=True):
        check_close(a, b, terms=x.numel())


def test_func_grad_of_module_parameters():
    import seednorm

    module, x = seednorm.SeeDNorm(24), Case("seed_norm").draw()[0].detach()
    params = dict(module.named_parameters())
    grads = torch.func.grad(lambda p: torch.func.functional_call(module, p, (x,)).square().sum())(params)
    module(x).square().sum().backward()
    for name, param in module.named_parameters():
        check_close(grads[name], param.grad, terms=x.numel())


def test_checkpoint_and_hooks():
    x, params = Case("seed_norm").draw()
    run = Case("seed_norm").run
    plain = torch.autograd.grad(run(x, params).square().sum(), [x, *params])
    again = torch.utils.checkpoint.checkpoint(lambda x: run(x, params), x, use_reentrant=False)
    for a, b in zip(plain, torch.autograd.grad(again.square().sum(), [x, *params]), strict=True):
        assert torch.equal(a, b)


def test_in_place_change_of_what_was_saved_is_noticed():
    x, params = Case("seed_norm").draw()
    total = (x * 1).contiguous()
    y = Case("seed_norm").run(total, params)
    total.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


DROPOUT = [
    ("seed_norm", {}),
    ("seed_norm", {"num_heads": 3}),
    ("seed_norm", {"beta_form": "elementwise"}),
    ("ada_seed_norm", {}),
]


@pytest.mark.parametrize("norm, options", DROPOUT, ids=str)
@pytest.mark.parametrize("order", [1, 2])
def test_dropout_formula(norm, options, order):
    """Values and gradients are the formula's with the mask that the seed stands for."""
    case = Case(norm, {**options, "dropout": 0.3, "training": True}, x_shape=(5, 4, 96), c_shape=(5, 96))
    x, params = case.draw(torch.float64)
    torch.manual_seed(5)
    y = case.run(x, params)
    torch.manual_seed(5)
    seed, offset = torch.randint(-(2**63), 2**63 - 1, (2,)).tolist()
    keep = (reference.dropout_keep(20, 96, 0.3, seed, offset) != 0).view(5, 4, 96).double() / 0.7
    exact = case.formula(x, params, keep=keep)
    check_close(y, exact, terms=96)
    got, wanted = y, exact
    for _ in range(order):
        got = torch.autograd.grad(got.square().sum(), [x, *params], create_graph=True)
        wanted = torch.autograd.grad(wanted.square().sum(), [x, *params], create_graph=True)
        for a, b in zip(got, wanted, strict=True):
            check_close(a, b, terms=10**4)
        got, wanted = got[0], wanted[0]


def test_dropout_follows_pytorchs_generator():
    case = Case("seed_norm", {"dropout": 0.5, "training": True})
    x, params = case.draw()
    torch.manual_seed(1)
    first, second = case.run(x, params), case.run(x, params)
    torch.manual_seed(1)
    assert torch.equal(first, case.run(x, params)) and torch.equal(second, case.run(x, params))
    assert not torch.equal(first, second)
    evaluated = functional.seed_norm(x, *params, dropout=0.5, training=False)
    assert torch.equal(evaluated, functional.seed_norm(x, *params))


def test_dropout_keeps_no_mask():
    case = Case("seed_norm", {"dropout": 0.5, "training": True})
    x, params = case.draw()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        case.run(x, params)
    assert sorted(t.numel() for t in saved if t is not x) == sorted([2, 40, 24, 24, 24])


def test_inference_mode():
    x, params = Case("seed_norm").draw()
    with torch.inference_mode():
        y = Case("seed_norm").run(x, params)
    assert torch.equal(y, Case("seed_norm").run(x, params)) and not y.requires_grad
