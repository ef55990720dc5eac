"""seednorm.convert on the norms and models of Hugging Face transformers, with random weights."""

import copy
import importlib

import pytest
import seednorm
import torch
from torch import nn
from ulp import assert_ulps

transformers = pytest.importorskip("transformers")

FLOAT32_ULP = 8  # as in test_convert.py

# class -> the order of rounding that it must be recognized by
NORMS = {
    "llama.LlamaRMSNorm": "llama",
    "mistral.MistralRMSNorm": "llama",
    "qwen2.Qwen2RMSNorm": "llama",
    "qwen3.Qwen3RMSNorm": "llama",
    "olmoe.OlmoeRMSNorm": "llama",
    "phi3.Phi3RMSNorm": "llama",
    "deepseek_v3.DeepseekV3RMSNorm": "llama",
    "t5.T5LayerNorm": "llama",
    "olmo2.Olmo2RMSNorm": "none",
    "olmo3.Olmo3RMSNorm": "none",
    "gpt_oss.GptOssRMSNorm": "none",
    "gemma3n.Gemma3nRMSNorm": "none",
    "gemma.GemmaRMSNorm": "gemma",
    "gemma2.Gemma2RMSNorm": "gemma",
    "gemma3.Gemma3RMSNorm": "gemma",
    "qwen3_next.Qwen3NextRMSNorm": "gemma",
}


def norm_class(path):
    module, name = path.split(".")
    return getattr(importlib.import_module(f"transformers.models.{module}.modeling_{module}"), name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("path, casting", NORMS.items())
def test_norms_within_the_bound_of_their_order(path, casting, dtype):
    torch.manual_seed(0)
    for dim in (64, 1000):
        model = nn.Sequential(norm_class(path)(dim)).to(dtype)
        nn.init.normal_(model[0].weight)
        weight = model[0].weight
        x = (torch.randn(256, dim) * torch.exp2(torch.arange(256) % 16 - 8.0)[:, None]).to(dtype)
        before = model(x)
        entry = seednorm.convert(model).replaced[0]
        assert entry.casting == casting
        assert model[0].weight is weight
        assert model[0].gamma_form == ("plus_one" if casting == "gemma" else "vector")
        assert_ulps(model(x), before, FLOAT32_ULP if dtype == torch.float32 else entry.max_ulp)
        if casting != "llama" and dtype != torch.float32:  # one rounding each: only near ties may they part
            assert (model(x) != before).double().mean().item() <= 1e-3


def test_gated_norms_are_left_alone():
    model = nn.ModuleDict({"gated": norm_class("qwen3_next.Qwen3NextRMSNormGated")(8), "norm": nn.RMSNorm(8)})
    report = seednorm.convert(model)
    assert [kept.name for kept in report.kept] == ["gated"]
    assert "gate" in report.kept[0].reason


SIZES = dict(
    vocab_size=96,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    pad_token_id=0,
)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2)
# config class -> its own options, norms a layer; one more comes last
MODELS = {
    "Llama": ({}, 2),
    "Mistral": ({}, 2),
    "Qwen3": (dict(head_dim=16), 4),
    "Olmo2": ({}, 4),
    "Olmoe": (EXPERTS, 4),
    "Gemma2": (dict(head_dim=16, query_pre_attn_scalar=16), 4),
    "Gemma3": (dict(head_dim=16, query_pre_attn_scalar=16), 6),
}


def make(name):
    """The model and input ids; the norms' weights are random too."""
    torch.manual_seed(0)
    prefix = f"{name}Text" if name == "Gemma3" else name
    config = getattr(transformers, f"{prefix}Config")(**SIZES, **MODELS[name][0])
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            if "norm" in parameter_name:
                p += 0.2 * torch.randn(p.shape)
    return model, torch.randint(0, 96, (2, 16))


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits.double()


@pytest.mark.parametrize("name", MODELS)
def test_models_give_the_same_logits(name):
    model, ids = make(name)
    before, half_before = logits(model, ids), logits(copy.deepcopy(model).bfloat16(), ids)
    parameters = dict(model.named_parameters())
    report = seednorm.convert(model, num_heads=2)
    assert len(report.replaced) == 2 * MODELS[name][1] + 1
    assert not report.kept, str(report)
    after = dict(model.named_parameters())
    assert all(after[key] is p for key, p in parameters.items())
    # Rounding errors of a few ULP a layer, through two layers of matrices that do not amplify them much.
    scale = before.abs().max().item()
    assert (logits(model, ids) - before).abs().max().item() <= 64 * 2.0**-23 * scale
    # In bfloat16 the conversion may move the logits as far as bfloat16 itself has moved them.
    half = logits(model.bfloat16(), ids)
    assert (half - half_before).square().mean().item() <= 2 * (half_before - before).square().mean().item()


def test_a_converted_model_trains_and_goes_back():
    model, ids = make("Olmo2")
    x = dict(input_ids=ids, labels=ids)
    seednorm.convert(model)
    groups = seednorm.param_groups(model, weight_decay=0.1)
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    seednorm.check_param_groups(optimizer, model)
    losses = []
    for _ in range(5):
        loss = model(**x).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    before, names = logits(model, ids), set(make("Olmo2")[0].state_dict())
    report = seednorm.convert(model, to="rms_norm", data=[dict(input_ids=ids)])
    assert set(model.state_dict()) == names
    errors = [entry.error for entry in report.replaced]
    assert all(0 < error < 0.5 for error in errors), str(report)
    assert not torch.equal(logits(model, ids), before)
