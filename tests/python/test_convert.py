"""seednorm.convert on modules of PyTorch, ours, and strangers made here; real ones in test_convert_transformers.py."""

import copy

import pytest
import seednorm
import torch
from torch import nn
from ulp import assert_ulps

# Both sides round in float32 at other places: per side half the error of the mean and its root's, and two products,
# about 4 ULP with sums whose errors are of random sign.
FLOAT32_ULP = 8


def model_of(*norms):
    return nn.Sequential(*norms)


def randomized(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    return model


def data(dim, dtype=torch.float32, rows=64):
    x = torch.randn(rows, dim, generator=torch.Generator().manual_seed(1))
    return (x * torch.exp2(torch.arange(rows) % 9 - 4.0)[:, None]).to(dtype)


def reasons(report):
    return {kept.name: kept.reason for kept in report.kept}


class SlowRmsNorm(nn.Module):
    """timm's RmsNorm without its fast path: every operation in the data's dtype."""

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.normalized_shape, self.eps = (channels,), eps

    def forward(self, x):
        x = x * torch.rsqrt(torch.mean(x.pow(2), dim=-1, keepdim=True) + self.eps)
        return x * self.weight


# ---- outputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("form", ["vector", "plus_one", "none"])
@pytest.mark.parametrize("dim, heads", [(8, 1), (48, 4), (1000, 8)])
def test_ours_bit_for_bit(dtype, form, dim, heads):
    # The linear layer tells the dtype where the norm has no weight.
    model = randomized(model_of(seednorm.RMSNorm(dim, gamma_form=form, dtype=dtype), nn.Linear(dim, 8, dtype=dtype)))
    x = data(dim, dtype)
    before = model(x)
    report = seednorm.convert(model, num_heads=heads, alpha_init=-3.0, sigma="silu")
    assert isinstance(model[0], seednorm.SeeDNorm)
    assert report.replaced[0].max_ulp == 0
    assert torch.equal(model(x), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("eps", [None, 1e-6, 0.1])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dim", [8, 100, 768])
def test_torch_rms_norm_within_its_bound(dtype, eps, affine, dim):
    model = randomized(model_of(nn.RMSNorm(dim, eps, affine, dtype=dtype)))
    # Without a weight nothing tells the data's dtype, and with it the epsilon that eps=None stands for.
    x = data(dim, torch.float32 if dtype == torch.float64 and not affine else dtype)
    before = model(x)
    report = seednorm.convert(model)
    assert report.replaced[0].casting == "none"
    half = x.dtype in (torch.bfloat16, torch.float16)
    assert_ulps(model(x), before, report.replaced[0].max_ulp if half else FLOAT32_ULP)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_all_in_the_datas_dtype(dtype):
    model = randomized(model_of(SlowRmsNorm(256))).to(dtype)
    x = data(256, dtype, rows=512)
    before = model(x)
    entry = seednorm.convert(model).replaced[0]
    assert (entry.casting, entry.max_ulp) == ("input", 5)
    assert_ulps(model(x), before, FLOAT32_ULP if dtype == torch.float32 else 5)


def test_a_norm_without_weight_keeps_a_gain_of_one():
    model = model_of(nn.RMSNorm(8, elementwise_affine=False))
    report = seednorm.convert(model)
    assert report.replaced[0].note == "had no weight"
    assert not model[0].weight.requires_grad and model[0].weight.eq(1).all()
    assert model[0].alpha.requires_grad and model[0].beta.requires_grad
    x = data(8, torch.float64)  # beside which nothing said that it would be float64
    assert torch.equal(model(x), seednorm.functional.rms_norm(x, None, model[0].eps))
    back = model_of(nn.RMSNorm(8, elementwise_affine=False))
    seednorm.convert(back, to="rms_norm")
    assert back[0].weight is None


def test_the_epsilon_left_to_pytorch_is_that_of_the_dtype_around():
    model = model_of(nn.RMSNorm(8, elementwise_affine=False), nn.Linear(8, 8)).double()
    x = data(8, torch.float64) * 1e-7
    before = model[0](x)
    seednorm.convert(model)
    assert model[0].weight.dtype == torch.float64
    assert_ulps(model[0](x), before, FLOAT32_ULP)


# ---- what survives


def test_gamma_is_the_same_object_and_old_optimizers_train_it():
    model = model_of(nn.RMSNorm(8), nn.Linear(8, 8))
    gamma, names = model[0].weight, set(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seednorm.convert(model)
    assert model[0].weight is gamma
    assert set(model.state_dict()) == names | {"0.alpha", "0.beta"}
    model(torch.randn(4, 8)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model[0].weight, torch.ones(8))


def test_ties_and_shared_modules():
    shared, tied = nn.RMSNorm(8), nn.RMSNorm(8)
    tied.weight = shared.weight
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared), "c": tied})
    report = seednorm.convert(model)
    assert [entry.name for entry in report.replaced] == ["a, b.0", "c"]
    assert model["a"] is model["b"][0] and model["a"] is not model["c"]
    assert model["a"].weight is model["c"].weight
    assert len(list(model.parameters())) == 5


def test_hooks_mode_dtype_and_requires_grad():
    model = model_of(nn.RMSNorm(8, dtype=torch.bfloat16), nn.RMSNorm(8)).eval()
    model[0].weight.requires_grad_(False)
    seen = []
    hook = model[0].register_forward_hook(lambda module, args, y: seen.append(type(module)))
    model[0].register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    model[1].register_full_backward_hook(lambda *_: seen.append("backward"))
    x = torch.randn(4, 8, dtype=torch.bfloat16)
    before = model[0](x)
    seednorm.convert(model)
    assert not model[0].training and not model[1].training
    assert {p.dtype for p in model[0].parameters()} == {torch.bfloat16}
    assert not any(p.requires_grad for p in model[0].parameters())
    assert all(p.requires_grad for p in model[1].parameters())
    assert_ulps(model[0](x), before, 1)
    model[1](torch.randn(4, 8, requires_grad=True)).sum().backward()
    assert seen == [nn.RMSNorm, seednorm.SeeDNorm, "backward"]
    hook.remove()
    model[0](x)
    assert len(seen) == 3


def test_code_that_reads_the_weight():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.RMSNorm(8)

        def forward(self, x):
            return self.norm(x) / self.norm.weight

    model = nn.Sequential(Block())
    randomized(model)
    x = data(8)
    before = model(x)
    seednorm.convert(model)
    assert_ulps(model(x), before, FLOAT32_ULP + 1)


def test_meta_device_and_deepcopy():
    with torch.device("meta"):
        model = model_of(nn.RMSNorm(8))
        seednorm.convert(model)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    model = copy.deepcopy(model).to_empty(device="cpu")
    model[0].reset_parameters()
    x = data(8)
    assert torch.equal(model(x), seednorm.RMSNorm(8, eps=model[0].eps)(x))


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    seednorm.convert(model_of(nn.RMSNorm(8), nn.LayerNorm(8)))
    assert torch.equal(torch.get_rng_state(), state)


# ---- what is left alone


class ClampedRMSNorm(SlowRmsNorm):
    def forward(self, x):
        return super().forward(x).clamp(-1, 1)


class EpsOutsideRMSNorm(SlowRmsNorm):
    def forward(self, x):
        return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + self.eps) * self.weight


class CenteredRMSNorm(SlowRmsNorm):
    def forward(self, x):
        return super().forward(x - x.mean(-1, keepdim=True))


class GatedRMSNorm(SlowRmsNorm):
    def forward(self, x, gate=None):
        return super().forward(x) if gate is None else super().forward(x) * gate


class ChannelsRMSNorm(SlowRmsNorm):
    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + self.eps) * self.weight


class BiasedRMSNorm(SlowRmsNorm):
    def __init__(self, channels):
        super().__init__(channels)
        self.bias = nn.Parameter(torch.zeros(channels))


class NamelessEpsRMSNorm(SlowRmsNorm):
    def __init__(self, channels):
        super().__init__(channels)
        del self.eps


class DroppingRMSNorm(nn.RMSNorm):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.5, self.training)


class ClampingRMSNorm(SlowRmsNorm):
    """Clamps x or y, from some size on, in all precisions or in half precision only."""

    def __init__(self, channels, what, largest, only_half=False):
        super().__init__(channels)
        self.what, self.largest, self.only_half = what, largest, only_half

    def forward(self, x):
        if self.only_half and x.dtype != torch.float16:
            return super().forward(x)
        x = x.clamp(-self.largest, self.largest) if self.what == "x" else x
        y = super().forward(x)
        return y.clamp(-self.largest, self.largest) if self.what == "y" else y


@pytest.mark.parametrize("training", [True, False])
def test_a_norm_that_differs_in_one_mode_or_beyond_some_size_is_left_alone(training):
    strangers = {
        "drops": (DroppingRMSNorm(8), "training mode"),
        "clamps_x": (ClampingRMSNorm(8, "x", 1e4), "off by"),
        "clamps_large_x": (ClampingRMSNorm(8, "x", 1e12), "off by"),
        "clamps_y": (ClampingRMSNorm(8, "y", 1e4), "off by"),
        "clamps_half": (ClampingRMSNorm(8, "y", 50.0, only_half=True), "half precision"),
    }
    model = nn.ModuleDict({name: module for name, (module, _) in strangers.items()}).train(training)
    model["good"] = SlowRmsNorm(8)
    state = torch.get_rng_state()
    report = seednorm.convert(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert [entry.name for entry in report.replaced] == ["good"]
    for name, (module, reason) in strangers.items():
        assert model[name] is module and module.training == training
        assert reason in reasons(report)[name]


def test_a_layer_norm_that_drops_is_left_alone_even_when_named():
    class DroppingLayerNorm(nn.LayerNorm):
        def forward(self, x):
            return nn.functional.dropout(super().forward(x), 0.5, self.training)

    model = nn.ModuleDict({"norm": DroppingLayerNorm(8), "other": nn.RMSNorm(8)}).eval()
    report = seednorm.convert(model, include=[nn.LayerNorm, nn.RMSNorm])
    assert "in training mode" in reasons(report)["norm"]


def test_what_is_not_rms_norm_is_left_alone_with_the_reason():
    replaced_forward, parametrized = nn.RMSNorm(8), nn.RMSNorm(8)
    replaced_forward.forward = lambda x: x
    nn.utils.parametrize.register_parametrization(parametrized, "weight", nn.Identity())
    strangers = {
        "clamped": (ClampedRMSNorm(8), "does not compute gamma x / RMS"),
        "eps_outside": (EpsOutsideRMSNorm(8), "does not compute gamma x / RMS"),
        "centered": (CenteredRMSNorm(8), "does not compute gamma x / RMS"),
        "channels": (ChannelsRMSNorm(8), "does not compute gamma x / RMS"),
        "gated": (GatedRMSNorm(8), "takes more than x: gate"),
        "biased": (BiasedRMSNorm(8), "more than a weight: bias"),
        "no_eps": (NamelessEpsRMSNorm(8), "no eps"),
        "two_dimensions": (nn.RMSNorm((4, 8)), r"over the dimensions [4, 8]"),
        "replaced_forward": (replaced_forward, "forward was replaced"),
        "parametrized": (parametrized, "parametrized"),
        "batch": (nn.BatchNorm1d(8), "more than a weight: bias, running_mean"),
        "layer": (nn.LayerNorm(8), "centring cannot be folded exactly"),
        "our_layer": (seednorm.LayerNorm(8), "centring cannot be folded exactly"),
        "seed": (seednorm.SeeDNorm(8), "is SeeDNorm already"),
        "ada": (seednorm.AdaSeeDNorm(8), "depends on a condition"),
        "scale": (seednorm.ScaleNorm(8), "does not compute gamma x / RMS"),
    }
    model = nn.ModuleDict({name: module for name, (module, _) in strangers.items()})
    model["good"] = nn.RMSNorm(8)
    report = seednorm.convert(model)
    assert [entry.name for entry in report.replaced] == ["good"]
    assert reasons(report).keys() == strangers.keys()
    for name, (module, reason) in strangers.items():
        assert model[name] is module
        assert reason in reasons(report)[name]
        assert name in str(report)


def test_include_and_exclude():
    def blocks():
        return nn.ModuleList([nn.ModuleDict({"norm": nn.RMSNorm(8), "q_norm": nn.RMSNorm(8)}) for _ in range(3)])

    def replaced(**rules):
        return [entry.name for entry in seednorm.convert(blocks(), **rules).replaced]

    assert len(replaced()) == 6
    assert replaced(include="*.norm") == ["0.norm", "1.norm", "2.norm"]
    assert replaced(include="*") == replaced()
    assert replaced(include=["0.*", "2.norm"]) == ["0.norm", "0.q_norm", "2.norm"]
    assert replaced(include=nn.RMSNorm, exclude=["*.q_norm", "1.*"]) == ["0.norm", "2.norm"]
    assert not seednorm.convert(nn.Sequential(nn.Linear(8, 8), *blocks()), include="*").kept
    report = seednorm.convert(blocks(), include="*.norm", exclude="1.*")
    assert reasons(report) == {
        "0.q_norm": "not included",
        "1.norm": "excluded",
        "1.q_norm": "excluded",
        "2.q_norm": "not included",
    }


def test_nothing_to_replace_lists_what_there_is():
    model = nn.ModuleDict({"a": nn.RMSNorm(8), "b": nn.LayerNorm(8)})
    with pytest.raises(ValueError, match=r"(?s)include=\['x\.\*'\].*a \(RMSNorm\).*b \(LayerNorm\)"):
        seednorm.convert(model, include="x.*")
    with pytest.raises(ValueError, match="found none"):
        seednorm.convert(nn.Sequential(nn.Linear(8, 8)))
    with pytest.raises(ValueError, match="got a norm"):
        seednorm.convert(nn.RMSNorm(8))


def test_layer_norm_is_replaced_only_when_named():
    def model():
        return nn.ModuleDict({"norm": nn.LayerNorm(8), "other": nn.RMSNorm(8)})

    for wildcard in ("*", "*norm"):
        converted = model()
        report = seednorm.convert(converted, include=[wildcard, "other"])
        assert isinstance(converted["norm"], nn.LayerNorm)
        assert "name its class in include" in reasons(report)["norm"]
    for named in (nn.LayerNorm, "norm"):
        converted = randomized(model())
        gamma, eps = converted["norm"].weight, converted["norm"].eps
        entry = seednorm.convert(converted, include=named).replaced[0]
        assert entry.max_ulp is None and "mean" in entry.note
        x = data(8)
        assert torch.equal(converted["norm"](x), seednorm.functional.rms_norm(x, gamma, eps))


def test_a_layer_norm_over_channels_is_not_replaced_even_when_named():
    class LayerNorm2d(nn.LayerNorm):
        def forward(self, x):
            return super().forward(x.movedim(1, -1)).movedim(-1, 1)

    model = nn.ModuleDict({"norm": LayerNorm2d(8), "other": nn.RMSNorm(8)})
    report = seednorm.convert(model, include=[nn.LayerNorm, nn.RMSNorm])
    assert [entry.name for entry in report.replaced] == ["other"]
    assert isinstance(model["norm"], LayerNorm2d)


def test_casting_takes_only_its_own_order():
    model = nn.ModuleDict({"slow": SlowRmsNorm(64), "fast": nn.RMSNorm(64)})
    report = seednorm.convert(model, casting="none")
    assert [entry.name for entry in report.replaced] == ["fast"]
    assert "rounds in the order 'input', not 'none'" in reasons(report)["slow"]


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(to="layer_norm"), "to: expected 'seed_norm' or 'rms_norm', got 'layer_norm'"),
        (dict(casting="fast"), "casting: expected None or one of llama, gemma, none, input, got 'fast'"),
        (dict(sigma="sigmoid"), "sigma: expected one with sigma"),
        (dict(num_heads=3), r"num_heads: expected a divisor of every width, got 3 for 1 \(8\)"),
        (dict(num_heads=0), r"num_heads: expected a divisor of every width, got 0"),
    ],
)
def test_errors_come_before_anything_is_replaced(options, message):
    model = model_of(nn.RMSNorm(6), nn.RMSNorm(8))
    with pytest.raises(ValueError, match=message):
        seednorm.convert(model, **options)
    assert all(type(module) is nn.RMSNorm for module in model)


# ---- and back


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_back_is_exact_while_beta_is_zero(dtype):
    norm = seednorm.RMSNorm(48, gamma_form="plus_one", dtype=dtype)
    model = randomized(model_of(norm, nn.Linear(48, 48, dtype=dtype)))
    x, gamma = data(48, dtype), model[0].weight
    before, names = model(x), set(model.state_dict())
    seednorm.convert(model, num_heads=4)
    report = seednorm.convert(model, to="rms_norm")
    assert isinstance(model[0], seednorm.RMSNorm) and model[0].weight is gamma
    assert set(model.state_dict()) == names
    assert (report.replaced[0].max_ulp, report.replaced[0].error) == (0, 0)
    assert torch.equal(model(x), before)


def test_back_without_gamma_is_a_gain_of_zero():
    model = model_of(seednorm.SeeDNorm(8, gamma_form="none"))
    seednorm.convert(model, to="rms_norm")
    assert torch.equal(model(data(8)), torch.zeros(64, 8))


SEED_FORMS = [
    {},
    dict(num_heads=4),
    dict(gamma_form="plus_one", alpha_form="scalar"),
    dict(gamma_form="none", sigma="sigmoid"),
    dict(beta_form="elementwise", alpha_form="none"),
    dict(beta_form="none", dot_scale=0.1),
]


@pytest.mark.parametrize("form", SEED_FORMS, ids=str)
def test_back_folds_the_mean_coefficient(form):
    model = model_of(seednorm.SeeDNorm(48, dropout=0.5, **form))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape) * 0.3)
    layer = copy.deepcopy(model[0]).eval()
    x = torch.randn(300, 48) + 0.5
    report = seednorm.convert(model, to="rms_norm", data=[x[:100], x[100:].reshape(2, 100, 48)])
    mean = (
        seednorm.reference.dynamic_coefficient(
            x, layer.alpha, layer.beta, layer.num_heads, layer.sigma, layer.dot_scale, beta_form=layer.beta_form
        )
        .expand_as(x)
        .mean(0)
    )
    expected = mean if layer.weight is None else layer.weight + mean
    assert torch.allclose(model[0].weight, expected, rtol=0, atol=1e-5)
    assert "mean coefficient" in report.replaced[0].note
    # The error that is reported is the one that was made.
    y, folded = layer(x).double(), model(x).double()
    error = ((y - folded).square().sum() / y.square().sum()).sqrt().item()
    assert report.replaced[0].max_ulp is None
    assert report.replaced[0].error == pytest.approx(error, rel=1e-3)


def test_back_needs_data_that_reaches_the_layers():
    model = nn.ModuleDict({"used": seednorm.SeeDNorm(8), "unused": seednorm.SeeDNorm(8)})
    for layer in model.values():
        nn.init.ones_(layer.beta)
    x = torch.randn(4, 8)
    with pytest.raises(ValueError, match="data: expected model inputs .* used, unused; got None"):
        seednorm.convert(model, to="rms_norm")
    with pytest.raises(ValueError, match="none reached unused"):
        seednorm.convert(model, to="rms_norm", data=lambda model: model["used"](x))
    assert all(isinstance(layer, seednorm.SeeDNorm) for layer in model.values())
    assert torch.equal(model["used"].weight, torch.ones(8))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_back_with_data_that_is_not_finite_changes_nothing(bad):
    model = model_of(seednorm.SeeDNorm(8), seednorm.SeeDNorm(8))
    nn.init.normal_(model[0].beta)
    nn.init.normal_(model[1].beta)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(64, 8)
    x[5, 3] = bad
    with pytest.raises(ValueError, match="1 would not be; nothing was changed"):
        seednorm.convert(model, to="rms_norm", data=[x])
    assert all(isinstance(layer, seednorm.SeeDNorm) for layer in model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_back_beyond_what_gamma_can_hold_changes_nothing():
    model = model_of(seednorm.SeeDNorm(8, alpha_init=6e4, dtype=torch.float16))
    with torch.no_grad():
        model[0].weight.fill_(6e4)
        model[0].beta.fill_(100)
    with pytest.raises(ValueError, match="the gain of 0 would not be"):
        seednorm.convert(model, to="rms_norm", data=[torch.ones(4, 8, dtype=torch.float16)])
    assert model[0].weight.eq(6e4).all()


def test_back_with_every_kind_of_data_in_evaluation_mode():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = seednorm.SeeDNorm(8)
            nn.init.ones_(self.norm.beta)

        def forward(self, x, scale=1.0):
            assert not self.training
            return self.norm(x * scale - 1, torch.ones_like(x))[0]

    x = torch.randn(4, 8)
    weights = []
    for inputs in ([x * 2], [(x, 2.0)], [dict(x=x, scale=2.0)], lambda model: model(x, 2.0)):
        model = Model()
        seednorm.convert(model, to="rms_norm", data=inputs)
        assert model.training and model.norm.training
        weights.append(model.norm.weight)
    assert all(torch.equal(weight, weights[0]) for weight in weights)
    # The layer sees x * 2 - 1 + 1.
    assert torch.allclose(weights[0], 1 + (2 * x).sum(-1).tanh().mean(), rtol=0, atol=1e-5)


def test_back_with_tied_gammas_unties_those_that_differ():
    model = model_of(seednorm.SeeDNorm(8), seednorm.SeeDNorm(8), nn.RMSNorm(8))
    gamma = model[0].weight
    model[1].weight = model[2].weight = gamma
    nn.init.ones_(model[1].beta)
    seednorm.convert(model, to="rms_norm", data=[torch.randn(16, 8) + 1])
    assert model[0].weight is gamma and model[2].weight is gamma
    assert torch.equal(gamma, torch.ones(8))
    assert model[1].weight is not gamma and not torch.equal(model[1].weight, gamma)
