"""Forward and backward of every operator: against the formula, in every dtype and layout, and by PyTorch's checks."""

import dataclasses

import pytest
import torch
from layers import CASES, DIM, PLAIN, Case, check_close
from seednorm import _library

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


def exact_case(case, x, params):
    """The same numbers in float64."""
    wide = [t if t is None else t.detach().double().requires_grad_() for t in (x, *params)]
    return wide[0], wide[1:]


def gradients(y, x, params, dy):
    return torch.autograd.grad(y, [x, *[p for p in params if p is not None]], dy)


def check(case, dtype, param_dtype, x=None):
    drawn, params = case.draw(dtype, param_dtype)
    x = drawn if x is None else x
    wide_x, wide_params = exact_case(case, x, params)
    y, exact = case.run(x, params), case.formula(wide_x, wide_params)
    assert y.dtype == dtype and y.is_contiguous()
    check_close(y, exact, terms=x.shape[-1])
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    terms = x.numel()
    for got, wanted in zip(
        gradients(y, x, params, dy), gradients(exact, wide_x, wide_params, dy.double()), strict=True
    ):
        check_close(got, wanted, terms)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_formula(case):
    check(case, torch.float32, torch.float32)
    check(case, torch.float64, torch.float64)


@pytest.mark.parametrize("param_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_narrow_data(case, dtype, param_dtype):
    check(case, dtype, param_dtype)


@pytest.mark.parametrize("case", [c for c in CASES if c.has_add], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_residual_add(case, dtype):
    """y and the gradients are those of the norm of the stored sum, bit for bit; dsum is added before dx is rounded."""
    x, params = case.draw(dtype)
    residual = case.draw(dtype, seed=2)[0]
    y, total = case.run_added(x, residual, params)
    plain = (x + residual).detach().requires_grad_()
    assert torch.equal(total, plain)
    wanted = case.run(plain, params)
    assert torch.equal(y, wanted)
    dy, dsum = torch.randn_like(y), torch.randn_like(y)
    given = [p for p in params if p is not None]
    got = torch.autograd.grad([y, total], [x, residual, *given], [dy, dsum], retain_graph=True)
    dx, *dparams = torch.autograd.grad(wanted, [plain, *given], dy)
    assert torch.equal(got[0], got[1])
    wide, wide_params = exact_case(case, plain, params)
    exact = torch.autograd.grad(case.formula(wide, wide_params), wide, dy.double())[0] + dsum.double()
    check_close(got[0], exact, terms=DIM)
    assert all(torch.equal(a, b) for a, b in zip(got[2:], dparams, strict=True))
    # A gradient that reaches only one of the two outputs.
    assert torch.equal(torch.autograd.grad(y, x, dy, retain_graph=True)[0], dx)
    only_sum = torch.autograd.grad(total, [x, residual], dsum)
    assert torch.equal(only_sum[0], dsum) and torch.equal(only_sum[1], dsum)


LAYOUTS = {
    "columns_of_wider": lambda: torch.randn(6, 3 * DIM)[:, DIM : 2 * DIM],
    "every_other_row": lambda: torch.randn(12, DIM)[::2],
    "collapsible": lambda: torch.randn(3, 4, 2 * DIM)[..., :DIM],
    "not_collapsible": lambda: torch.randn(4, 3, DIM).transpose(0, 1),
    "column_major": lambda: torch.randn(DIM, 6).t(),
    "expanded": lambda: torch.randn(1, DIM).expand(6, DIM),
    "one_number": lambda: torch.randn(()).expand(6, DIM),
    "one_row": lambda: torch.randn(1, 2 * DIM)[:, :DIM],
    "one_dimension": lambda: torch.randn(DIM),
    "odd_start": lambda: torch.randn(6 * DIM + 1)[1:].view(6, DIM),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("norm", ["seed_norm", "layer_norm"])
def test_layouts(norm, layout):
    case = Case(norm)
    params = case.draw()[1]
    x, dy = LAYOUTS[layout]().requires_grad_(), LAYOUTS[layout]()
    same = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    y, wanted = case.run(x, params), case.run(same, params)
    assert y.is_contiguous() and torch.equal(y, wanted)
    pairs = zip(gradients(y, x, params, dy), gradients(wanted, same, params, dy.clone()), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def copies(function):
    """Operators that PyTorch ran below ours."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        function()
    return [event.name for event in profiled.events() if event.name.startswith("aten::")]


@pytest.mark.parametrize("layout", ["columns_of_wider", "every_other_row", "collapsible", "odd_start"])
def test_strided_rows_are_not_copied(layout):
    x, params = LAYOUTS[layout](), Case("seed_norm").draw()[1]
    assert not {"aten::contiguous", "aten::clone", "aten::copy_"} & set(
        copies(lambda: Case("seed_norm").run(x, params))
    )


@pytest.mark.parametrize("case", PLAIN, ids=str)
@pytest.mark.parametrize("shape", [(0, 4, DIM), (5, 0, DIM)])
def test_no_rows(case, shape):
    case = Case(case.norm, scalars=case.scalars, x_shape=shape, c_shape=(shape[0], DIM))
    x, params = case.draw()
    y = case.run(x, params)
    assert y.shape == shape
    for got, of in zip(gradients(y, x, params, torch.zeros(shape)), [x, *params], strict=True):
        assert torch.equal(got, torch.zeros_like(of))


def test_beta_zero_is_rms_norm():
    for dtype in DTYPES:
        x, (gamma, alpha, _) = Case("seed_norm").draw(dtype)
        y = Case("seed_norm").run(x, [gamma, alpha, torch.zeros_like(gamma)])
        assert torch.equal(y, Case("rms_norm").run(x, [gamma]))


def test_threads_do_not_change_a_bit():
    case = Case("seed_norm", x_shape=(700, 96))
    x, params = case.draw()
    results = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        y = case.run(x, params)
        results.append([y, *gradients(y, x, params, torch.ones_like(y))])
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_only_wanted_gradients_are_computed():
    x, (gamma, alpha, beta) = Case("seed_norm").draw()
    y = Case("seed_norm").run(x.detach(), [gamma.detach(), alpha, beta.detach()])
    (dalpha,) = torch.autograd.grad(y.sum(), [alpha])
    op = torch.ops.seednorm.seed_norm_backward
    stats = torch.ops.seednorm.seed_norm(x, gamma, alpha, beta)[1]
    outputs = op(torch.ones_like(x), x, gamma, alpha, beta, stats, None, wanted=2)
    assert [g.numel() for g in outputs] == [x.numel(), 0, DIM, 0]
    assert torch.equal(outputs[2], dalpha)


def test_kept_for_backward():
    """x itself, and rstd and z of each head: no other tensor of x's size."""
    case = Case("seed_norm", {"num_heads": 4})
    x, params = case.draw()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        case.run(x, params)
    mine = [t for t in saved if not any(t is p for p in params)]
    assert [t.data_ptr() == x.data_ptr() for t in mine] == [True, False]
    assert mine[1].shape == (*x.shape[:-1], 1 + 4)


def operator_inputs(case, kind):
    """Arguments of the operator that stands behind the case's function, by name."""
    x, params = case.draw()
    named = dict(zip(case.params, params, strict=True)) | case.options
    named["plus_one"] = named.pop("gamma_form", "vector") == "plus_one"
    named["elementwise"] = named.pop("beta_form", "vector") == "elementwise"
    if "sigma" in named:
        named["sigma"] = _library.SIGMAS.index(named["sigma"])
    named |= {"x": x, "residual": case.draw(seed=2)[0]}
    if kind == "backward":
        overload = getattr(torch.ops.seednorm, case.norm).default
        accepted = {a.name for a in overload._schema.arguments}
        with torch.no_grad():
            stats = overload(**{k: v for k, v in named.items() if k in accepted})[1]
        named |= {"dy": torch.randn_like(x).requires_grad_(), "stats": stats, "dsum": torch.randn_like(x)}
    name = {"forward": case.norm, "add": f"add_{case.norm}", "backward": f"{case.norm}_backward"}[kind]
    overload = getattr(torch.ops.seednorm, name).default
    accepted = {a.name for a in overload._schema.arguments}
    return overload, {k: v for k, v in named.items() if k in accepted}


@pytest.mark.parametrize("kind", ["forward", "add", "backward"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_opcheck(case, kind):
    if kind == "add" and not case.has_add:
        assert not hasattr(torch.ops.seednorm, f"add_{case.norm}")
        return
    overload, inputs = operator_inputs(case, kind)
    tests = ["test_schema", "test_autograd_registration", "test_faketensor"]
    if case in PLAIN:
        tests.append("test_aot_dispatch_dynamic")
    # Gradients of gradients are outside of what compiled code can do.
    if kind == "backward":
        inputs = {k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}
    result = torch.library.opcheck(overload, (), inputs, test_utils=tests)
    assert set(result.values()) == {"SUCCESS"}


def test_every_norm_of_the_library_is_tested():
    assert {case.norm for case in PLAIN} == set(_library.norm_names())


@pytest.mark.parametrize("dims", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("norm", ["rms_norm", "ada_seed_norm"])
def test_any_number_of_dimensions(norm, dims):
    """Beyond 64 of them arrays of the operators were too short."""
    case = next(case for case in PLAIN if case.norm == norm)
    x, params = dataclasses.replace(case, x_shape=(3,) + (1,) * (dims - 1) + (DIM,), c_shape=(3, DIM)).draw()
    y = case.run(x, params)
    few = case.run(x.detach().reshape(3, DIM), params)
    assert y.shape == x.shape and torch.equal(y.reshape(3, DIM), few)
    given = [x, *params]
    for grad, tensor in zip(torch.autograd.grad(y.sum(), given), given, strict=True):
        assert grad.shape == tensor.shape


@pytest.mark.parametrize("sigma", [-1, 7, 2**31, 2**32, 2**32 + 1, 2**63 - 1])
def test_sigma_out_of_range(sigma):
    """A number that 32 bits would make a valid one is refused, by the operator and by its meta function alike."""
    for device in ("cpu", "meta"):
        x, param = torch.ones(2, DIM, device=device), torch.ones(DIM, device=device)
        with pytest.raises((RuntimeError, ValueError), match=rf"\[seed_norm\] sigma: expected 0 to 6, got {sigma}"):
            torch.ops.seednorm.seed_norm(x, param, param, param, 1, 1e-6, sigma)


def test_integers_reach_meta_functions_whole():
    heads = 2**53 + 1  # no float64
    x, param = torch.ones(2, DIM, device="meta"), torch.ones(DIM, device="meta")
    with pytest.raises(ValueError, match=f"num_heads: expected a divisor of the width {DIM}, got {heads}$"):
        torch.ops.seednorm.seed_norm(x, param, param, param, heads)
