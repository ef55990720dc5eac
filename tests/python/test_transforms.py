"""Under torch.func, forward-mode differentiation, tracers, and with sizes that depend on data."""

import io
import warnings

import pytest
import seednorm
import torch
from layers import DIM, PLAIN, Case, check_close
from seednorm import functional
from torch.autograd import forward_ad

FORMS = [*PLAIN, Case("seed_norm", {"num_heads": 3, "gamma_form": "plus_one"}), Case("ada_seed_norm", c_shape=(5, 1, DIM))]


def small(case):
    return Case(case.norm, case.options, case.absent, case.scalars, (3, 2, DIM), (3, *case.c_shape[1:]))


def drawn(case, **options):
    """x and the parameters, without gradients."""
    x, params = case.draw(torch.float64, **options)
    return x.detach(), [p.detach() for p in params]


def check_all(got, wanted, terms=10**3):
    for a, b in zip(got, wanted, strict=True):
        check_close(a, b, terms)


@pytest.mark.parametrize("case", FORMS, ids=str)
@pytest.mark.parametrize("with_grad", [False, True])
def test_forward_mode(case, with_grad):
    """The tangent of y, whether parameters are trained or frozen, is the formula's."""
    x, params = drawn(case)
    tangents = [torch.randn_like(t) for t in (x, *params)]
    results = []
    for run in (case.run, case.formula):
        with forward_ad.dual_level(), torch.set_grad_enabled(with_grad):
            inputs = [p.clone().requires_grad_(with_grad) for p in (x, *params)]
            x_dual, *duals = map(forward_ad.make_dual, inputs, tangents)
            results.append(forward_ad.unpack_dual(run(x_dual, duals)))
    check_all(*results)


def test_forward_mode_of_a_gradient():
    """A product of Hessian and vector: the tangent reaches backward, of a forward pass within the level or before it."""
    case = Case("seed_norm")
    x, params = drawn(case)
    v, dy = torch.randn_like(x), torch.randn_like(x)
    wanted = torch.func.jvp(lambda x: torch.func.vjp(lambda x: case.formula(x, params), x)[1](dy)[0], (x,), (v,))[1]
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.clone().requires_grad_(), v)
        (grad,) = torch.autograd.grad(case.run(dual, params), dual, dy, create_graph=True)
        check_close(forward_ad.unpack_dual(grad).tangent, wanted, 10**4)
    leaf = x.clone().requires_grad_()
    y = case.run(leaf, params)
    with forward_ad.dual_level():
        (grad,) = torch.autograd.grad(y, leaf, forward_ad.make_dual(dy, v))
        linear = torch.func.vjp(lambda x: case.formula(x, params), x)[1](v)[0]
        check_close(forward_ad.unpack_dual(grad).tangent, linear, 10**4)


@pytest.mark.parametrize("case", FORMS, ids=str)
def test_vmap(case):
    """Over x alone, and over everything."""
    cases = [drawn(small(case), seed=seed) for seed in range(4)]
    xs, params = torch.stack([x for x, _ in cases]), [torch.stack(p) for p in zip(*[p for _, p in cases], strict=True)]
    got = torch.vmap(lambda x, *p: case.run(x, p))(xs, *params)
    check_close(got, torch.stack([case.run(x, p) for x, p in cases]), DIM)
    shared = cases[0][1]
    got = torch.vmap(lambda x: case.run(x, shared), in_dims=1, out_dims=1)(xs.transpose(0, 1))
    check_close(got, torch.stack([case.run(x, shared) for x, _ in cases], 1), DIM)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_gradients_of_each_sample(case):
    case = small(case)
    _, params = drawn(case)
    xs = torch.stack([drawn(case, seed=seed)[0] for seed in range(4)])

    def loss(params, x):
        return case.run(x, params).square().sum()

    got = torch.vmap(torch.func.grad(loss), (None, 0))(params, xs)
    each = [torch.func.grad(loss)(params, x) for x in xs]
    check_all(got, [torch.stack(grads) for grads in zip(*each, strict=True)])


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_jacobians_and_hessians(case):
    case = Case(case.norm, scalars=case.scalars, x_shape=(2, 6), c_shape=(2, 6))
    x, params = drawn(case)
    every = tuple(range(1 + len(params)))
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        got = transform(lambda x, *p: case.run(x, p), argnums=every)(x, *params)
        check_all(got, transform(lambda x, *p: case.formula(x, p), argnums=every)(x, *params))

    def hessian(run):
        rows = torch.func.hessian(lambda x, *p: run(x, p).square().sum(), argnums=every)(x, *params)
        return [block for row in rows for block in row]

    check_all(hessian(case.run), hessian(case.formula), 10**4)


def test_nested_gradients():
    case = Case("seed_norm", x_shape=(6,))
    x, params = drawn(case)

    def third(run):
        function = lambda t: run(x * t, params).sum()  # noqa: E731
        for _ in range(3):
            function = torch.func.grad(function)
        return function(torch.tensor(1.5, dtype=torch.float64))

    check_close(third(case.run), third(case.formula), 10**4)


@pytest.mark.parametrize("vectorize", [False, True])
def test_jacobians_of_autograd(vectorize):
    """torch.autograd's own batches the gradients that reach backward."""
    case = Case("layer_norm", x_shape=(2, 6))
    x, params = drawn(case)
    got = torch.autograd.functional.jacobian(lambda x: case.run(x, params), x, vectorize=vectorize)
    check_close(got, torch.func.jacrev(lambda x: case.formula(x, params))(x), 10**3)


def test_residual_add_transformed():
    case = Case("seed_norm", x_shape=(3, DIM))
    x, params = drawn(case)
    residual = drawn(case, seed=1)[0]
    y, total = torch.vmap(lambda x, r: case.run_added(x, r, params))(x, residual)
    wanted = case.run_added(x, residual, params)
    check_all((y, total), wanted, DIM)
    got = torch.func.jacrev(lambda x, r: sum(case.run_added(x, r, params)), argnums=(0, 1))(x, residual)
    plain = torch.func.jacrev(lambda s: case.formula(s, params) + s)(x + residual)
    check_all(got, (plain, plain))


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_dropout_under_vmap(randomness):
    case = Case("seed_norm", {"dropout": 0.5, "training": True})
    x, params = drawn(case)
    xs = x.expand(3, *x.shape)
    ys = torch.vmap(lambda x: case.run(x, params), randomness=randomness)(xs)
    assert not torch.equal(ys[0], functional.seed_norm(x, *params))
    assert torch.equal(ys[0], ys[1]) == (randomness == "same")


@pytest.mark.parametrize("transform", ["vmap", "jvp", "grad", "hessian"])
def test_compiled_transforms(transform):
    norm, x = seednorm.SeeDNorm(DIM).double().requires_grad_(False), torch.randn(3, DIM, dtype=torch.float64)
    torch.nn.init.normal_(norm.beta)
    functions = {
        "vmap": lambda x: torch.vmap(norm)(x),
        "jvp": lambda x: torch.func.jvp(norm, (x,), (x.sin(),))[1],
        "grad": lambda x: torch.func.grad(lambda x: norm(x).square().sum())(x),
        "hessian": lambda x: torch.func.hessian(lambda x: norm(x).square().sum())(x[0]),
    }
    torch.compiler.reset()
    plain = functions[transform](x)
    compiled = torch.compile(functions[transform], backend="aot_eager", fullgraph=True)(x)
    assert plain.abs().max() > 0
    check_close(compiled, plain, 10**3)


# ---- tracers


def block():
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.norm, self.last = torch.nn.Linear(DIM, DIM), seednorm.SeeDNorm(DIM), seednorm.LayerNorm(DIM)

        def forward(self, x):
            y, stream = self.norm(self.linear(x), x)
            return self.last(y) + stream

    torch.manual_seed(0)
    made = Block()
    torch.nn.init.normal_(made.norm.beta)
    return made


def gradients(module, x, of=None):
    y = module(x)
    return [y, *torch.autograd.grad(y.square().sum(), list((of or module).parameters()))]


@pytest.mark.parametrize("with_grad", [True, False])
def test_fx_keeps_the_functions(with_grad):
    """They are leaves of the graph, so that what was traced in one mode runs and trains in another."""
    model, x = block(), torch.randn(3, DIM)
    with torch.set_grad_enabled(with_grad):
        traced = torch.fx.symbolic_trace(model)
    called = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert functional.add_seed_norm in called and functional.layer_norm in called
    for a, b in zip(gradients(traced, x), gradients(model, x), strict=True):
        assert torch.equal(a, b)
    assert "seednorm_functional" in traced.code


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_fx_traces_every_function(case):
    x, params = case.draw()
    names = [f"p{i}" for i in range(len(params))]
    source = f"def forward(x, {', '.join(names)}): return layer(x, {', '.join(names)})"
    scope = {"layer": lambda x, *p: case.run(x, p)}
    exec(source, scope)  # proxies need a fixed number of arguments
    traced = torch.fx.symbolic_trace(scope["forward"])
    assert torch.equal(traced(x, *params), case.run(x, params))


@pytest.mark.parametrize("with_grad", [True, False])
def test_jit_trace(with_grad):
    model, x = block(), torch.randn(3, DIM)
    with torch.set_grad_enabled(with_grad), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        traced = torch.jit.trace(model, x)
        file = io.BytesIO()
        torch.jit.save(traced, file)
        file.seek(0)
        loaded = torch.jit.load(file)
    other = torch.randn(7, DIM)
    for module in (traced, loaded):
        for a, b in zip(gradients(module, other), gradients(model, other), strict=True):
            assert torch.equal(a, b)


def test_tensors_of_other_classes_take_over():
    class Meters(torch.Tensor):
        pass

    class Counted(torch.overrides.TorchFunctionMode):
        names = ()

        def __torch_function__(self, function, types, args=(), kwargs=None):
            self.names = (*self.names, getattr(function, "__name__", "?"))
            return function(*args, **(kwargs or {}))

    norm, x = seednorm.RMSNorm(DIM), torch.randn(2, DIM)
    assert type(norm(x.as_subclass(Meters))) is Meters
    with Counted() as counted:
        norm(x)
    assert "rms_norm" in counted.names


# ---- sizes that depend on data


class Selected(torch.nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x, mask):
        return self.norm(x[mask])


class SelectedTwice(Selected):
    """Two sizes that nothing says are the same."""

    def forward(self, x, mask):
        return self.norm(x[mask], x[~mask])[0]


NORMS = [seednorm.SeeDNorm, seednorm.RMSNorm, seednorm.LayerNorm, seednorm.GroupLayerNorm, seednorm.DyT, seednorm.Derf, seednorm.DyISRU, seednorm.GCT, seednorm.LAN, seednorm.ScaleNorm]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("strict", [True, False])
def test_export_of_selected_rows(norm, strict):
    model, x, mask = Selected(norm(DIM)), torch.randn(10, DIM), torch.arange(10) % 3 == 0
    exported = torch.export.export(model, (x, mask), strict=strict).module()
    for other in (~mask, mask & False, mask | True):
        assert torch.equal(exported(x, other), model(x, other))


@pytest.mark.parametrize("norm", NORMS)
def test_compiled_training_on_selected_rows(norm):
    torch.compiler.reset()
    model, x, mask = Selected(norm(DIM)), torch.randn(10, DIM), torch.arange(10) % 3 == 0
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        for other in (mask, ~mask):
            for a, b in zip(*[gradients(lambda x, m=m: m(x, other), x, model) for m in (compiled, model)], strict=True):
                assert torch.equal(a, b)


def test_two_unknown_sizes_must_agree():
    model, x = SelectedTwice(seednorm.RMSNorm(DIM)), torch.randn(10, DIM)
    half = torch.arange(10) % 2 == 0
    exported = torch.export.export(model, (x, half)).module()
    assert torch.equal(exported(x, ~half), model(x, ~half))
    with pytest.raises(RuntimeError, match="u0"):
        exported(x, torch.arange(10) < 3)


def test_exported_without_gradients_still_trains():
    model, x = block(), torch.randn(3, DIM)
    with torch.no_grad():
        exported = torch.export.export(model, (x,)).module()
    for a, b in zip(gradients(exported, x), gradients(model, x), strict=True):
        assert torch.equal(a, b)
