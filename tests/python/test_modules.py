"""The modules: parameters, states, and life in a model."""

import copy
import functools
import io

import pytest
import seednorm
import torch
from layers import DIM, check_close
from seednorm import _library, functional, modules, reference
from seednorm._library import norm_info, norm_names

LAYERS = {cls.name: cls for cls in (getattr(modules, name) for name in modules.__all__)}
OPTIONS = {"seed_norm": {"num_heads": 2}, "group_layer_norm": {"num_heads": 3}}
MODULES = {name: functools.partial(cls, DIM, **OPTIONS.get(name, {})) for name, cls in LAYERS.items()}

#: Names, sizes and initial values, as checkpoints have them.
STATES = {
    "seed_norm": {"weight": (DIM, 1), "alpha": (DIM, 1), "beta": (DIM, 0)},
    "ada_seed_norm": {"alpha": (DIM, 1), "beta": (DIM, 0)},
    "rms_norm": {"weight": (DIM, 1)},
    "layer_norm": {"weight": (DIM, 1), "bias": (DIM, 0)},
    "group_layer_norm": {"weight": (DIM, 1), "bias": (DIM, 0)},
    "dyt": {"weight": (DIM, 1), "bias": (DIM, 0), "alpha": (1, 0.5)},
    "derf": {"weight": (DIM, 1), "bias": (DIM, 0), "alpha": (1, 0.5), "shift": (1, 0)},
    "dyisru": {"weight": (DIM, 1), "bias": (DIM, 0), "alpha": (1, 0.5)},
    "lan": {"weight": (DIM, 1), "bias": (DIM, 0), "variance": (DIM, 1), "mean": (DIM, 0)},
    "gct": {"weight": (DIM, 0), "bias": (DIM, 0), "alpha": (DIM, 1)},
    "scale_norm": {"weight": (1, DIM**0.5)},
}


def inputs(name, rows=(3, 4)):
    generator = torch.Generator().manual_seed(0)
    conditions = [p for p in norm_info(name).params if p.shape == "per_sample"]
    shapes = [(*rows, DIM), *[(rows[0], DIM) for _ in conditions]]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def randomize(module):
    generator = torch.Generator().manual_seed(1)
    for param in module.parameters():
        param.data.copy_(torch.randn(param.shape, generator=generator))
    return module


def test_every_norm_has_formula_function_and_layer():
    assert set(LAYERS) == set(norm_names())
    for name in norm_names():
        assert callable(getattr(functional, name)) and callable(getattr(reference, name))
        assert hasattr(functional, f"add_{name}") == norm_info(name).residual_add
        assert getattr(seednorm, LAYERS[name].__name__) is LAYERS[name]
        assert LAYERS[name].__name__ in seednorm.__all__


@pytest.mark.parametrize("name", MODULES)
def test_initial_state(name):
    module = MODULES[name]()
    state = module.state_dict()
    params = [p for p in norm_info(name).params if p.shape != "per_sample"]
    assert set(state) == {p.state_name for p in params} == set(module.roles)
    starts = {p.state_name: _library.params_of(name, DIM)[p.name] for p in params}
    for key, (kind, value) in starts.items():
        assert torch.equal(state[key], torch.full((DIM if kind == "vector" else 1,), value))
    for key, (size, value) in STATES.get(name, {}).items():
        assert torch.equal(state[key], torch.full((size,), float(value)))
    assert all(p.ndim == 1 for p in module.parameters())  # FSDP2 refuses tensors without dimensions
    randomize(module).reset_parameters()
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("name", MODULES)
def test_life(name):
    """deepcopy, state_dict through a file, pickle, casting, moves to meta and back, train and eval."""
    module, data = randomize(MODULES[name]()), inputs(name)
    y = module(*data)
    assert torch.equal(copy.deepcopy(module)(*data), y)
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    other = MODULES[name]()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other(*data), y)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer, weights_only=False)(*data), y)
    assert module.bfloat16()(*[d.bfloat16() for d in data]).dtype == torch.bfloat16
    assert "DIM" not in repr(module) and str(DIM) in repr(module)


@pytest.mark.parametrize("name", MODULES)
def test_meta_initialization(name):
    with torch.device("meta"):
        module = MODULES[name]()
    assert all(p.is_meta for p in module.parameters())
    shapes = module(*[d.to("meta") for d in inputs(name)])
    assert shapes.is_meta and shapes.shape == (3, 4, DIM)
    module.to_empty(device="cpu")
    module.reset_parameters()
    wanted = MODULES[name]()
    assert torch.equal(module(*inputs(name)), wanted(*inputs(name)))
    narrow = MODULES[name](device="meta", dtype=torch.bfloat16)
    assert all(p.is_meta and p.dtype == torch.bfloat16 for p in narrow.parameters())


@pytest.mark.parametrize("name", [name for name in MODULES if norm_info(name).residual_add])
def test_residual(name):
    module = randomize(MODULES[name]())
    (x, *condition), residual = inputs(name), torch.randn(3, 4, DIM)
    y, total = module(x, *condition, residual)
    assert torch.equal(total, x + residual) and torch.equal(y, module(x + residual, *condition))
    # As x + residual would do it: under autocast the branch is narrower than the stream.
    y, total = module(x.bfloat16(), *condition, residual)
    assert total.dtype == torch.float32 and torch.equal(total, x.bfloat16() + residual)


@pytest.mark.parametrize("options", [
    {"gamma_form": "plus_one"}, {"gamma_form": "none"}, {"alpha_form": "scalar"}, {"alpha_form": "none"},
    {"beta_form": "elementwise"}, {"beta_form": "none"}, {"sigma": "sigmoid", "dot_scale": 1 / DIM},
    {"alpha_init": 0.25, "eps": 1e-3}, {"num_heads": 4},
], ids=str)  # fmt: skip
def test_forms(options):
    """Each form of Table 3: parameters, their shapes, initial values and the formula."""
    module = seednorm.SeeDNorm(DIM, **options)
    shapes = {name: tuple(param.shape) for name, param in module.named_parameters()}
    expected = {"weight": (DIM,), "alpha": (DIM,), "beta": (DIM,)}
    for form, name in (("gamma_form", "weight"), ("alpha_form", "alpha"), ("beta_form", "beta")):
        if options.get(form) == "none":
            del expected[name]
            assert getattr(module, name) is None
    if options.get("alpha_form") == "scalar":
        expected["alpha"] = (1,)
    assert shapes == expected
    if module.weight is not None:
        assert torch.all(module.weight == (0 if options.get("gamma_form") == "plus_one" else 1))
    if module.alpha is not None:
        assert torch.all(module.alpha == options.get("alpha_init", 1.0))
    randomize(module)
    x = torch.randn(5, DIM)
    named = {k: v for k, v in options.items() if k in ("eps", "sigma", "dot_scale", "num_heads")}
    named |= {k: v for k, v in options.items() if v in ("plus_one", "elementwise")}
    wide = [None if p is None else p.detach().double() for p in (module.weight, module.alpha, module.beta)]
    check_close(module(x), reference.seed_norm(x.double(), *wide, **named), terms=DIM)
    for name, value in options.items():
        assert f"{name}={value}" in repr(module)
    if "beta_form" not in options:
        y, total = module(x, x)
        assert torch.equal(y, module(total))


@pytest.mark.parametrize("name", [name for name in MODULES if norm_info(name).starts_as])
def test_starts_as_another_norm(name):
    x = torch.randn(5, DIM)
    assert torch.equal(MODULES[name]()(x), MODULES[norm_info(name).starts_as]()(x))


def test_layer_norm_takes_torchs_state():
    theirs, ours = randomize(torch.nn.LayerNorm(DIM, eps=1e-6)), seednorm.LayerNorm(DIM)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, DIM)
    check_close(ours(x), copy.deepcopy(theirs).double()(x.double()), terms=DIM)
    assert list(seednorm.LayerNorm(DIM, bias=False).state_dict()) == ["weight"]


def test_group_layer_norm_takes_torchs_state():
    theirs, ours = randomize(torch.nn.GroupNorm(4, DIM, eps=1e-6)), seednorm.GroupLayerNorm(DIM, num_heads=4)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, DIM)
    check_close(ours(x), copy.deepcopy(theirs).double()(x.double()), terms=DIM)


def test_dropout_acts_in_training_only():
    module = randomize(seednorm.SeeDNorm(DIM, dropout=0.5))
    x = torch.randn(5, DIM)
    torch.manual_seed(0)
    trained = module(x)
    torch.manual_seed(0)
    assert torch.equal(trained, module(x))
    evaluated = module.eval()(x)
    assert not torch.equal(trained, evaluated)
    assert torch.equal(evaluated, functional.seed_norm(x, module.weight, module.alpha, module.beta))


@pytest.mark.parametrize("make, expected", [
    (lambda: seednorm.SeeDNorm(10, num_heads=3), r"\[seed_norm\] num_heads: expected a divisor of the width 10, got 3"),
    (lambda: seednorm.SeeDNorm(0), r"\[seed_norm\] dim: expected 1 to 2\^40, got 0"),
    (lambda: seednorm.SeeDNorm(8, sigma="relu"), r"\[seed_norm\] sigma: expected one of tanh, .*, got 'relu'"),
    (lambda: seednorm.SeeDNorm(8, dropout=1.5), r"\[seed_norm\] dropout: expected a probability"),
    (lambda: seednorm.SeeDNorm(8, alpha_form="plus_one"), r"\[seed_norm\] alpha: expected form .*, got plus_one"),
    (lambda: seednorm.SeeDNorm(8, beta_form="dot"), r"\[seed_norm\] beta_form: expected one of vector, .*, got 'dot'"),
    (lambda: seednorm.SeeDNorm(8, 2, beta_form="none"), r"\[seed_norm\] num_heads: expected 1 with beta none, got 2"),
    (lambda: seednorm.RMSNorm(8, eps=-1.0), r"\[rms_norm\] eps: expected a finite number above 0, got -1"),
])  # fmt: skip
def test_bad_options(make, expected):
    with pytest.raises(ValueError, match=expected):
        make()


def test_parametrization_and_tied_weights():
    """Parameters are read as attributes, so that whatever PyTorch puts in their place counts."""
    module = seednorm.SeeDNorm(DIM)

    class Doubled(torch.nn.Module):
        def forward(self, value):
            return 2 * value

    torch.nn.utils.parametrize.register_parametrization(module, "weight", Doubled())
    x = torch.randn(2, DIM)
    check_close(module(x), 2 * seednorm.RMSNorm(DIM)(x), terms=DIM)


def test_a_model_learns():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, DIM), seednorm.SeeDNorm(DIM, num_heads=2), torch.nn.Linear(DIM, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    x = torch.randn(256, 8)
    target = (x[:, :1] * x[:, 1:2]).tanh()
    losses = []
    for _ in range(200):
        loss = (model(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert model[1].beta.abs().max() > 0.01


@pytest.mark.parametrize("layer", [seednorm.SeeDNorm, seednorm.RMSNorm, seednorm.LayerNorm, seednorm.DyT, seednorm.ScaleNorm])
def test_width_as_torchs_layers_take_it(layer):
    for dim in ((8,), [8], torch.Size([8])):
        assert layer(dim).dim == 8
    for dim, got in (((4, 8), r"\[4, 8\]"), ((), r"\[\]"), (8.0, "8.0"), ("8", "'8'"), (None, "None")):
        with pytest.raises(ValueError, match=rf"\[{layer.name}\] dim: expected .*, got {got}"):
            layer(dim)


@pytest.mark.parametrize("options, message", [
    (dict(eps=None), "eps: expected a number, got None"),
    (dict(eps="1e-6"), "eps: expected a number, got '1e-6'"),
    (dict(num_heads=2.0), "num_heads: expected a whole number, got 2.0"),
    (dict(alpha_init=None), "alpha_init: expected a number, got None"),
    (dict(dropout=[0.1]), r"dropout: expected a number, got \[0.1\]"),
])  # fmt: skip
def test_options_that_are_no_numbers(options, message):
    with pytest.raises(ValueError, match=rf"\[seed_norm\] {message}"):
        seednorm.SeeDNorm(8, **options)


def test_float64_data_beside_narrow_parameters():
    """As torch's layers take them; the parameters are widened, their gradients keep their dtype."""
    norm, x = seednorm.SeeDNorm(8), torch.randn(4, 8, dtype=torch.float64)
    torch.nn.init.normal_(norm.beta)
    y = norm(x)
    assert torch.equal(y, copy.deepcopy(norm).double()(x))
    y.sum().backward()
    assert {p.grad.dtype for p in norm.parameters()} == {torch.float32}
