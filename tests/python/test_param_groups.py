"""seednorm.param_groups and check_param_groups."""

import pytest
import seednorm
import torch
from seednorm import modules
from torch import nn


class Block(nn.Module):
    """Norms of every kind, deep inside, one of them shared, with a tied matrix and a frozen bias."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleDict(
            {
                "seed": seednorm.SeeDNorm(8, num_heads=2),
                "scalar": seednorm.SeeDNorm(8, alpha_form="scalar", gamma_form="none"),
                "ada": seednorm.AdaSeeDNorm(8),
                "rms": seednorm.RMSNorm(8),
                "torch": nn.LayerNorm(8),
                "dyt": seednorm.DyT(8),
                "derf": seednorm.Derf(8),
                "scale": seednorm.ScaleNorm(8),
            }
        )
        self.alias = self.norms["seed"]
        self.embedding = nn.Embedding(16, 8)
        self.head = nn.Linear(8, 16)
        self.head.weight = self.embedding.weight
        self.head.bias.requires_grad_(False)
        self.beta = nn.Parameter(torch.zeros(8))  # not SeeDNorm's


def names_of(groups, model):
    names = {id(p): name for name, p in model.named_parameters()}
    return {group["name"]: {names[id(p)] for p in group["params"]} for group in groups}


def make():
    return nn.Sequential(nn.Sequential(Block()))


def test_every_parameter_is_in_the_right_group_once():
    model = make()
    groups = seednorm.param_groups(model, weight_decay=0.1)
    assert names_of(groups, model) == {
        "dynamic": {f"0.0.norms.{norm}.{p}" for norm in ("seed", "scalar", "ada") for p in ("alpha", "beta")},
        "gamma": {f"0.0.norms.{norm}.weight" for norm in ("seed", "rms", "torch", "dyt", "derf", "scale")},
        "decay": {"0.0.embedding.weight"},
        "no_decay": {"0.0.beta", "0.0.head.bias", "0.0.norms.torch.bias"}
        | {f"0.0.norms.{norm}.{p}" for norm in ("dyt", "derf") for p in ("alpha", "bias")}
        | {"0.0.norms.derf.shift"},
    }
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert {group["name"]: group["weight_decay"] for group in groups} == {
        "dynamic": 0.1,
        "gamma": 0.0,
        "decay": 0.1,
        "no_decay": 0.0,
    }


def test_every_layer_is_grouped_by_the_roles_of_its_parameters():
    groups = {"gain": "gamma", "dynamic": "dynamic", "offset": "no_decay", "slope": "no_decay"}
    for cls in (getattr(modules, name) for name in modules.__all__):
        layer = cls(8)
        found = {p: group["name"] for group in seednorm.param_groups(layer, 0.1) for p in group["params"]}
        assert {name: found[p] for name, p in layer.named_parameters()} == {
            name: groups[role] for name, role in cls.roles.items()
        }


def test_gamma_as_the_baseline_has_it():
    groups = {g["name"]: g for g in seednorm.param_groups(make(), weight_decay=0.1, decay_gamma=True)}
    assert groups["gamma"]["weight_decay"] == 0.1
    assert groups["no_decay"]["weight_decay"] == 0


def test_a_tied_parameter_takes_its_first_role():
    model = nn.ModuleList([seednorm.SeeDNorm(8), nn.Linear(8, 8), nn.RMSNorm(8)])
    model[1].bias = model[0].alpha
    model[2].weight = model[0].weight
    groups = seednorm.param_groups(model, weight_decay=0.1)
    assert names_of(groups, model) == {"dynamic": {"0.alpha", "0.beta"}, "gamma": {"0.weight"}, "decay": {"1.weight"}}


def test_optimizers_take_them_and_the_decay_works():
    model = make()
    optimizer = torch.optim.SGD(seednorm.param_groups(model, weight_decay=0.5), lr=0.1)
    seednorm.check_param_groups(optimizer, model)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    norm = model[0][0].norms["seed"]
    assert torch.equal(norm.alpha, torch.full((8,), 0.95)) and torch.equal(norm.weight, torch.ones(8))


def test_the_table_names_groups_decays_and_sizes():
    lines = str(seednorm.param_groups(make(), weight_decay=0.1)).splitlines()
    assert lines[0].split()[:3] == ["group", "weight", "decay"]
    row = next(line for line in lines if line.startswith("dynamic")).split()
    assert row[1:4] == ["0.1", "6", "41"]  # alpha and beta of width 8 thrice, one alpha a scalar


def test_negative_weight_decay():
    with pytest.raises(ValueError, match="weight_decay: expected a number >= 0, got -1"):
        seednorm.param_groups(make(), weight_decay=-1)


def usual_groups(model):
    """What most trainers do: vectors are not decayed."""
    return [
        dict(params=[p for p in model.parameters() if p.ndim >= 2], weight_decay=0.1),
        dict(params=[p for p in model.parameters() if p.ndim < 2], weight_decay=0.0),
    ]


def test_check_takes_groups_and_optimizers():
    model = make()
    groups = seednorm.param_groups(model, weight_decay=0.1)
    seednorm.check_param_groups(groups, model)
    seednorm.check_param_groups(torch.optim.AdamW(model.parameters(), weight_decay=0.1), model)
    seednorm.check_param_groups([dict(params=list(model.named_parameters()), weight_decay=0.1)], model)
    seednorm.check_param_groups([], nn.Linear(8, 8))


def test_check_raises_when_alpha_or_beta_would_not_be_decayed():
    model = make()
    with pytest.raises(ValueError, match=r"norms.seed.alpha has weight_decay 0\.0"):
        seednorm.check_param_groups(usual_groups(model), model)
    with pytest.raises(ValueError, match="norms.seed.alpha has weight_decay 0"):
        seednorm.check_param_groups(torch.optim.Adam(model.parameters()), model)
    with pytest.raises(ValueError, match="norms.seed.alpha is in a group without weight_decay"):
        seednorm.check_param_groups([dict(params=list(model.parameters()))], model)


def test_check_raises_when_a_conversion_came_after_the_optimizer():
    model = nn.Sequential(nn.RMSNorm(8))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    seednorm.convert(model)
    with pytest.raises(ValueError, match="0.alpha is in no group; 0.beta is in no group"):
        seednorm.check_param_groups(optimizer, model)


class Wrapped:
    """As accelerate wraps one."""

    def __init__(self, optimizer):
        self.optimizer = optimizer


class Several:
    """As torchtitan's container and Megatron's chain have several."""

    def __init__(self, name, optimizers):
        setattr(self, name, optimizers)


def test_check_decay_of_any_optimizer():
    model = make()
    groups = seednorm.param_groups(model, weight_decay=0.1)
    plain = torch.optim.AdamW(groups)
    each = [torch.optim.AdamW([dict(params=g["params"], weight_decay=g["weight_decay"])]) for g in groups]
    for optimizer in (plain, groups, Wrapped(plain), Several("optimizers", each), Several("chained_optimizers", [Wrapped(o) for o in each])):
        text = seednorm.check_decay(optimizer, model)
        row = next(line for line in text.splitlines() if line.startswith("dynamic")).split()
        assert row[1:3] == ["0.1", "6"], text
        with pytest.raises(ValueError, match=r"\[check_decay\] .* is in no group"):
            seednorm.check_decay(Wrapped(torch.optim.SGD([model[0][0].norms["seed"].weight])), model)
    with pytest.raises(ValueError, match=r"\[check_decay\] .*weight_decay 0\.0"):
        seednorm.check_decay(torch.optim.AdamW(usual_groups(model)), model)


def test_check_decay_of_copies_and_frozen_parameters():
    model = nn.Sequential(seednorm.SeeDNorm(8, dtype=torch.bfloat16), seednorm.SeeDNorm(8).requires_grad_(False))
    for p in model[0].parameters():
        p.main_param = p.detach().float().requires_grad_()
    optimizer = torch.optim.AdamW([p.main_param for p in model[0].parameters()], weight_decay=0.1)
    assert "0.1" in seednorm.check_decay(optimizer, model)


def test_check_decay_of_groups_that_a_schedule_will_multiply():
    """Megatron's optimizers begin with the same weight_decay in all groups, and a factor that its schedule applies."""
    model = nn.Sequential(seednorm.SeeDNorm(8))
    groups = [{"params": list(model.parameters()), "weight_decay": 0.1, "wd_mult": factor} for factor in (1.0, 0.0)]
    assert "0.1" in seednorm.check_decay(groups[:1], model)
    for check in (seednorm.check_decay, seednorm.check_param_groups):
        with pytest.raises(ValueError, match=r"alpha has weight_decay 0\.0"):
            check(groups[1:], model)


def test_check_decay_of_transformers_trainer(tmp_path):
    """Its own rule leaves layers whose class or name says norm undecayed; alpha and beta with them."""
    pytest.importorskip("accelerate")
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                      num_attention_heads=2)  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    seednorm.convert(model)
    arguments = transformers.TrainingArguments(tmp_path, weight_decay=0.1, report_to="none", use_cpu=True)
    trainer = transformers.Trainer(model, arguments)
    with pytest.raises(ValueError, match="weight_decay 0.0"):
        seednorm.check_decay(trainer.create_optimizer(), model)
    optimizer = torch.optim.AdamW(seednorm.param_groups(model, arguments.weight_decay), lr=arguments.learning_rate)
    trainer = transformers.Trainer(model, arguments, optimizers=(optimizer, None))
    assert "dynamic" in seednorm.check_decay(trainer.create_optimizer(), model)
