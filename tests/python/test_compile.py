"""Under torch.compile, torch.export and autocast, and for models without memory."""

import pytest
import torch
from layers import DIM, PLAIN, Case
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()


def both(case, function, shape_of_batch, **options):
    """y and the gradients, plain and compiled, for each batch."""
    params = case.draw()[1]
    compiled = torch.compile(function, fullgraph=True, **options)
    for batch in shape_of_batch:
        case = Case(case.norm, case.options, case.absent, case.scalars, (batch, 3, DIM), (batch, DIM))
        x, fresh = case.draw()
        # gamma(c) and eta(c) go with the batch.
        params = [
            new if name.endswith("_c") else old for name, old, new in zip(case.params, params, fresh, strict=True)
        ]
        results = []
        for f in (function, compiled):
            y = f(x, *params)
            results.append([y, *torch.autograd.grad(y.square().sum(), [x, *params])])
        yield results


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_compiled_with_dynamic_batch(case):
    """One graph, forward and backward; the same kernels, so the same bits, and one compilation for every batch."""
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    torch.compile(lambda x, *p: case.run(x, p), backend=counter, fullgraph=True, dynamic=True)(
        case.draw()[0], *case.draw()[1]
    )
    assert counter.frame_count == 1
    for plain, compiled in both(case, lambda x, *p: case.run(x, p), (4, 6, 9), backend="aot_eager", dynamic=True):
        assert all(torch.equal(a, b) for a, b in zip(plain, compiled, strict=True))


def test_compiled_by_inductor():
    """The default backend, between neighbours that it compiles, forward and backward."""
    import seednorm

    norm = seednorm.SeeDNorm(DIM, num_heads=2)
    torch.nn.init.normal_(norm.beta)

    def block(x, residual):
        y, total = norm(x[..., :DIM], residual)
        return torch.sin(y), total

    # One process compiles, without headers compiled beforehand: less work for so few kernels.
    options = {"compile_threads": 1, "cpp_cache_precompile_headers": False}
    compiled = torch.compile(block, fullgraph=True, dynamic=True, options=options)
    for batch in (2, 5):
        x, residual = torch.randn(batch, 3, 2 * DIM, requires_grad=True), torch.randn(batch, 3, DIM, requires_grad=True)
        results = []
        for f in (block, compiled):
            y, total = f(x, residual)
            results.append([y, *torch.autograd.grad([y, total], [x, residual, *norm.parameters()], [y, total])])
        for plain, fast in zip(*results, strict=True):
            # Inductor's own sine differs in its last bits.
            assert (fast - plain).abs().max() <= 1e-5 * plain.abs().max()


def test_compiled_without_grad():
    case = Case("seed_norm")
    x, params = case.draw()
    with torch.no_grad():
        compiled = torch.compile(lambda x, *p: case.run(x, p), fullgraph=True, backend="aot_eager")
        assert torch.equal(compiled(x, *params), case.run(x, params))


def test_compiled_dropout_is_repeatable():
    case = Case("seed_norm", {"dropout": 0.5, "training": True})
    x, params = case.draw()
    compiled = torch.compile(lambda x, *p: case.run(x, p), fullgraph=True, backend="aot_eager")
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        y = compiled(x, *params)
        results.append([y, *torch.autograd.grad(y.sum(), [x, *params])])
    assert all(torch.equal(a, b) for a, b in zip(results[0], results[1], strict=True))
    assert not torch.equal(results[0][0], results[2][0])


BAD = [
    ("seed_norm", {"gamma": torch.ones(DIM + 1)}, r"\[seed_norm\] gamma: expected \[24\], got \[25\]"),
    ("seed_norm", {"alpha": torch.ones(2)}, r"\[seed_norm\] alpha: expected \[24\], got \[2\]"),
    ("seed_norm", {"beta": torch.ones(DIM, dtype=torch.float64)},
     r"\[seed_norm\] beta: expected float32, bfloat16 or float16, beside float32 data, got float64"),
    ("seed_norm", {"beta": torch.ones(DIM, dtype=torch.int64)}, r"\[seed_norm\] beta: expected .*, got int64"),
    ("seed_norm", {"num_heads": 5}, r"\[seed_norm\] num_heads: expected a divisor of the width 24, got 5"),
    ("seed_norm", {"num_heads": 0}, r"\[seed_norm\] num_heads: expected .*, got 0"),
    ("seed_norm", {"eps": 0.0}, r"\[seed_norm\] eps: expected a finite number above 0, got 0"),
    ("seed_norm", {"dropout": 1.0}, r"\[seed_norm\] dropout: expected a probability in \[0, 1\), got 1"),
    ("seed_norm", {"gamma": None, "gamma_form": "plus_one"},
     r"\[seed_norm\] gamma: expected a tensor, with plus_one, got None"),
    ("seed_norm", {"num_heads": 2, "beta_form": "elementwise"},
     r"\[seed_norm\] num_heads: expected 1 with beta elementwise, got 2"),
    ("seed_norm", {"x": torch.ones(4, DIM, dtype=torch.int64)},
     r"\[seed_norm\] x: expected float32, bfloat16, float16 or float64, got int64"),
    ("seed_norm", {"x": torch.tensor(1.0)}, r"\[seed_norm\] x: expected one dimension or more, of which the last is the row"),
    ("seed_norm", {"x": torch.ones(4, 0)}, r"\[seed_norm\] dim: expected 1 to 2\^40, got 0"),
    ("seed_norm", {"gamma": torch.ones(DIM, device="meta")},
     r"\[seed_norm\] gamma: expected a tensor on (cpu|meta), where x is, got (meta|cpu)"),
    ("ada_seed_norm", {"gamma_c": torch.ones(3, DIM)},
     r"\[ada_seed_norm\] gamma_c: expected \[samples, 24\] for x of \[5, 4, 24\], got \[3, 24\]"),
    ("ada_seed_norm", {"eta_c": torch.ones(DIM)},
     r"\[ada_seed_norm\] eta_c: expected the shape of gamma_c, \[5, 24\], got \[24\]"),
    ("ada_seed_norm", {"beta": None}, r"\[ada_seed_norm\] beta: expected \[24\], got None"),
    ("rms_norm", {"gamma": torch.ones(1)}, r"\[rms_norm\] gamma: expected \[24\], got \[1\]"),
    ("layer_norm", {"beta": torch.ones(2, DIM)}, r"\[layer_norm\] beta: expected \[24\], got \[2, 24\]"),
    ("dyt", {"alpha": torch.ones(DIM)}, r"\[dyt\] alpha: expected \[1\], got \[24\]"),
    ("dyt", {"gamma": None}, r"\[dyt\] gamma: expected \[24\], got None"),
    ("scale_norm", {"gamma": torch.tensor(1.0)}, r"\[scale_norm\] gamma: expected \[1\], got \[\]"),
]  # fmt: skip


def message_of(function):
    with pytest.raises(Exception) as caught:
        function()
    return caught.value


@pytest.mark.parametrize("norm, changed, expected", BAD, ids=lambda value: "")
def test_errors_read_the_same_compiled(norm, changed, expected):
    import re

    from seednorm import functional

    case = next(c for c in PLAIN if c.norm == norm)
    x, params = case.draw()
    arguments = {"x": x, **dict(zip(case.params, params, strict=True)), **changed}
    function = getattr(functional, norm)
    error = message_of(lambda: function(**arguments))
    assert type(error) is ValueError and re.search(expected, str(error))
    compiled = torch.compile(function, backend="eager", fullgraph=True)
    if "meta" not in expected:
        assert str(error) in str(message_of(lambda: compiled(**arguments)))


def test_residual_of_another_shape():
    x, params = Case("rms_norm").draw()
    with pytest.raises(
        ValueError, match=r"\[rms_norm\] residual: expected the shape of x, \[5, 4, 24\], got \[4, 24\]"
    ):
        Case("rms_norm").run_added(x, x[0], params)


def test_names_that_do_not_exist():
    x, params = Case("seed_norm").draw()
    for options, expected in (
        ({"sigma": "tahn"}, "sigma: expected one of tanh, sigmoid.*, got 'tahn'"),
        ({"gamma_form": "scalar"}, "gamma_form: expected 'vector' or 'plus_one', got 'scalar'"),
    ):
        with pytest.raises(ValueError, match=expected):
            Case("seed_norm", options).run(x, params)


@pytest.mark.parametrize("case", PLAIN, ids=str)
@pytest.mark.parametrize("strict", [True, False])
def test_export(case, strict):
    class Model(torch.nn.Module):
        def forward(self, x, params):
            return case.run(x, params)

    x, params = case.draw()
    x, params = x.detach(), [p.detach() for p in params]
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes = {"x": {0: batch}, "params": [{0: batch} if n.endswith("_c") else None for n in case.params]}
    exported = torch.export.export(Model(), (x, params), dynamic_shapes=shapes, strict=strict)
    larger = Case(case.norm, case.options, case.absent, case.scalars, (9, 4, DIM), (9, DIM)).draw()
    params = [b.detach() if n.endswith("_c") else a for n, a, b in zip(case.params, params, larger[1], strict=True)]
    assert torch.equal(exported.module()(larger[0].detach(), params), case.run(larger[0], params))


class Recorded(TorchDispatchMode):
    """Names of the operators that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_autocast_casts_nothing(case):
    """bfloat16 data, float32 parameters: one operator each way, gradients of the parameters' dtype."""
    x, params = case.draw(torch.bfloat16, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16), Recorded() as forward:
        y = case.run(x, params)
    assert y.dtype == torch.bfloat16
    assert forward.names == [f"seednorm.{case.norm}.default"]
    dy = torch.ones_like(y)
    with Recorded() as backward:
        grads = torch.autograd.grad(y, [x, *params], dy)
    assert [name for name in backward.names if "detach" not in name] == [f"seednorm.{case.norm}_backward.default"]
    assert [g.dtype for g in grads] == [torch.bfloat16] + [torch.float32] * len(params)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        wide, params = case.draw(torch.float32)
        assert case.run(wide, params).dtype == torch.float32


def test_autocast_model():
    """A residual stream in float32 with bfloat16 branches, forward and backward, plain and compiled."""
    import seednorm

    torch.manual_seed(0)
    linear, norm = torch.nn.Linear(DIM, DIM), seednorm.SeeDNorm(DIM)

    def block(stream):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y, stream = norm(linear(stream), stream)
            return linear(y), stream

    stream = torch.randn(6, DIM, requires_grad=True)
    results = []
    for f in (block, torch.compile(block, fullgraph=True, backend="aot_eager")):
        branch, total = f(stream)
        assert branch.dtype == torch.bfloat16 and total.dtype == torch.float32
        results.append([branch, total, *torch.autograd.grad(branch.float().sum() + total.sum(), [stream, norm.alpha])])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_meta_tensors():
    x, params = Case("seed_norm", {"num_heads": 2}).draw()
    y = Case("seed_norm", {"num_heads": 2}).run(x.to("meta"), [p.to("meta") for p in params])
    assert y.is_meta and y.shape == x.shape
