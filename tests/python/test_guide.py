"""What the pages of docs/guide show: their code is an excerpt of this file."""

import pytest
import seednorm
import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.q_norm, self.k_norm = nn.RMSNorm(8), nn.RMSNorm(8), nn.RMSNorm(8)

    def forward(self, x):
        x = self.norm(x)
        return x + self.q_norm(x) * self.k_norm(x)


def make():
    return nn.ModuleDict({"model": nn.ModuleDict({"layers": nn.Sequential(Layer(), Layer()), "norm": nn.RMSNorm(8)})})


def train(model):
    run(model).square().mean().backward()


def run(model):
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    return model["model"]["norm"](model["model"]["layers"](x))


def test_converting():
    model = make()
    before = run(model)
    report = seednorm.convert(model, num_heads=1, alpha_init=1.0)
    print(report)  # what was replaced, and what was left alone and why
    optimizer = torch.optim.AdamW(seednorm.param_groups(model, weight_decay=0.1), lr=3e-4)
    assert len(report.replaced) == 7 and not report.kept
    assert len(optimizer.param_groups) == 2
    assert torch.allclose(run(model), before, rtol=1e-5, atol=1e-6)


def test_some_of_them():
    model = make()
    report = seednorm.convert(model, include="model.layers.*", exclude=["*.q_norm", "*.k_norm"])
    assert [entry.name for entry in report.replaced] == ["model.layers.0.norm", "model.layers.1.norm"]


def test_back():
    model = make()
    seednorm.convert(model)
    nn.init.normal_(model["model"]["norm"].beta, std=0.1)
    batches = run
    report = seednorm.convert(model, to="rms_norm", data=batches)
    assert [entry.error > 0 for entry in report.replaced] == [False] * 6 + [True]


def test_save_and_load(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                      num_attention_heads=2)  # fmt: skip
    model, folder = transformers.LlamaForCausalLM(config), tmp_path
    seednorm.convert(model)
    nn.init.normal_(model.model.norm.beta)
    before = model
    model.save_pretrained(folder)
    model = seednorm.from_pretrained(folder)
    assert torch.equal(model.model.norm.beta, before.model.norm.beta)
    seednorm.save_pretrained(model, folder, self_contained=True)
    assert "AutoModelForCausalLM" in (folder / "config.json").read_text() and (folder / "modeling_seednorm.py").exists()


def test_weight_decay_and_statistics(capsys):
    model = make()
    seednorm.convert(model)
    groups = seednorm.param_groups(model, weight_decay=0.1, decay_gamma=True)
    print(groups)
    optimizer = torch.optim.AdamW(groups, lr=3e-4)
    seednorm.check_param_groups(optimizer, model)
    print(seednorm.check_decay(optimizer, model))
    with seednorm.stats(model) as stats:
        train(model)
    print(stats)
    assert "dynamic" in capsys.readouterr().out
