"""The lab's models against Hugging Face's transformers, on the same random weights in real model directories.

    SEEDNORM_HF_TOOL=build/lab/tests/lab/lab_hf_tool python -m pytest tests/lab/language/interop/parity_test.py
"""
import json
import os
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Olmo2Config, Olmo2ForCausalLM, OlmoeConfig, OlmoeForCausalLM

# These models are so small that threads would only wait for each other.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

TOOL = os.environ.get("SEEDNORM_HF_TOOL")
pytestmark = pytest.mark.skipif(not TOOL, reason="SEEDNORM_HF_TOOL names no program")

# Largest difference of logits, as a share of the largest logit. Both sides sum in float32 but in other orders: a few
# hundred roundings of 6e-8 in each of a few layers, mostly averaging out.
MAX_ERROR = 1e-5

CASES = {
    "olmo2": dict(),
    "olmo2-tied": dict(tie_word_embeddings=True),
    "olmo2-mha": dict(num_key_value_heads=4),
    "olmo2-theta": dict(rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
    "olmo2-eps": dict(rms_norm_eps=1e-6),
    "olmoe": dict(num_experts=8, num_experts_per_tok=2),
    "olmoe-topk": dict(num_experts=8, num_experts_per_tok=3, norm_topk_prob=True),
    "olmoe-tied": dict(num_experts=12, num_experts_per_tok=4, tie_word_embeddings=True, num_key_value_heads=4),
}


def config_of(case, **settings):
    """The configuration of a case: width 64, 3 layers, 4 heads of 16, of which 2 for keys."""
    kind = Olmo2Config if case.startswith("olmo2") else OlmoeConfig
    sizes = dict(vocab_size=120, hidden_size=64, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.1)
    return kind(**(sizes | dict(pad_token_id=None, eos_token_id=7) | CASES[case] | settings))


def model_of(config, seed=0):
    """A model with random weights, norms' gains among them."""
    torch.manual_seed(seed)
    model = (Olmo2ForCausalLM if config.model_type == "olmo2" else OlmoeForCausalLM)(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def tool(*args):
    """What the program prints; its message is shown if it fails."""
    done = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*args):
    """The one line that the program says about bad input."""
    done = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, (done.returncode, done.stderr)
    return done.stderr


def our_logits(folder, tokens, tmp_path, *args):
    """Logits [B, T, V] of our model in `folder`."""
    (tmp_path / "tokens.json").write_text(json.dumps(tokens.tolist()))
    tool("logits", folder, tmp_path / "tokens.json", tmp_path / "logits.safetensors", *args)
    return load_file(tmp_path / "logits.safetensors")["logits"]


def their_logits(model, tokens):
    with torch.no_grad():
        return model(tokens).logits.float()


def load_there(folder):
    """The model as transformers loads it: every key expected, none missing."""
    config = json.loads((folder / "config.json").read_text())
    kind = Olmo2ForCausalLM if config["model_type"] == "olmo2" else OlmoeForCausalLM
    model, info = kind.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    for what, names in info.items():
        assert not names, (what, names)
    return model.eval()


def error(got, want):
    return ((got - want).abs().max() / want.abs().max()).item()


def random_tokens(vocab=120, rows=3, length=40, seed=1):
    return torch.randint(0, vocab, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_logits(case, dtype, tmp_path):
    model = model_of(config_of(case)).to(dtype)
    model.save_pretrained(tmp_path / "hf")
    want = their_logits(load_there(tmp_path / "hf"), random_tokens())  # in float32, from the same weights
    for stored in ([], ["float32", "stored"]):
        assert error(our_logits(tmp_path / "hf", random_tokens(), tmp_path, *stored), want) < MAX_ERROR


@pytest.mark.parametrize("case", ["olmo2", "olmoe"])
def test_bfloat16_activations(case, tmp_path):
    """Not farther from the exact logits than theirs, for the middle one of the tokens: where rounding gives a token to
    another expert, which happens to both, the error is of the size of the logits."""
    model = model_of(config_of(case)).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "hf")
    theirs = their_logits(model, random_tokens())
    exact = their_logits(load_there(tmp_path / "hf"), random_tokens())
    ours = our_logits(tmp_path / "hf", random_tokens(), tmp_path, "bfloat16", "stored")
    of_token = [(logits - exact).square().mean(-1).median() for logits in (ours, theirs)]
    assert of_token[0] < 1.5 * of_token[1]


@pytest.mark.parametrize("case", ["olmo2", "olmoe"])
def test_shards(case, tmp_path):
    model = model_of(config_of(case))
    model.save_pretrained(tmp_path / "hf", max_shard_size="60KB")
    assert len(list((tmp_path / "hf").glob("*.safetensors"))) > 2
    want = their_logits(model, random_tokens())
    assert error(our_logits(tmp_path / "hf", random_tokens(), tmp_path), want) < MAX_ERROR


def test_long_context(tmp_path):
    """Angles of late positions: an error of one rounding in a frequency would show here."""
    config = config_of("olmo2-theta", max_position_embeddings=4096)
    model = model_of(config)
    model.save_pretrained(tmp_path / "hf")
    tokens = random_tokens(rows=1, length=4096)
    assert error(our_logits(tmp_path / "hf", tokens, tmp_path), their_logits(model, tokens)) < MAX_ERROR


def test_old_form_of_rope(tmp_path):
    """config.json as transformers wrote it before version 5."""
    model = model_of(config_of("olmo2-theta"))
    model.save_pretrained(tmp_path / "hf")
    path = tmp_path / "hf" / "config.json"
    config = json.loads(path.read_text())
    del config["rope_parameters"]
    path.write_text(json.dumps(config | {"rope_theta": 500000.0, "rope_scaling": None}))
    want = their_logits(model, random_tokens())
    assert error(our_logits(tmp_path / "hf", random_tokens(), tmp_path), want) < MAX_ERROR


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("case", CASES)
def test_there_and_back(case, dtype, tmp_path):
    model = model_of(config_of(case)).to(getattr(torch, dtype))
    model.save_pretrained(tmp_path / "hf")
    tool("save", tmp_path / "hf", tmp_path / "ours", dtype)
    back = load_there(tmp_path / "ours")
    want = load_there(tmp_path / "hf")
    assert all(torch.equal(tensor, want.state_dict()[name]) for name, tensor in back.state_dict().items())
    assert torch.equal(their_logits(back, random_tokens()), their_logits(want, random_tokens()))
    assert load_file(tmp_path / "ours" / "model.safetensors").keys() == load_file(
        tmp_path / "hf" / "model.safetensors").keys()


@pytest.mark.parametrize("case", CASES)
def test_made_here(case, tmp_path):
    """A model of ours loads there, with its settings, and computes the same."""
    config_of(case).save_pretrained(tmp_path)
    tool("make", tmp_path / "config.json", tmp_path / "ours")
    model = load_there(tmp_path / "ours")
    ours, theirs = model.config.to_dict(), config_of(case).to_dict()
    ids = {"eos_token_id", "bos_token_id", "pad_token_id", "rope_theta", "dtype", "architectures", "_name_or_path"}
    assert {k: v for k, v in ours.items() if k not in ids} == {k: v for k, v in theirs.items() if k not in ids}
    want = their_logits(model, random_tokens())
    assert error(our_logits(tmp_path / "ours", random_tokens(), tmp_path), want) < MAX_ERROR


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", ["olmo2", "olmoe"])
def test_convert_is_lossless(case, dtype, tmp_path):
    model_of(config_of(case)).to(dtype).save_pretrained(tmp_path / "hf")
    (tmp_path / "hf" / "tokenizer.json").write_text("{}")
    assert "lossless" in tool("convert", tmp_path / "hf", tmp_path / "ours", "seed_norm(num_heads=2)")
    assert (tmp_path / "ours" / "tokenizer.json").read_text() == "{}"
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["eos_token_id"] == 7 and config["model_type"].startswith("seednorm_")
    before = our_logits(tmp_path / "hf", random_tokens(), tmp_path)
    assert torch.equal(our_logits(tmp_path / "ours", random_tokens(), tmp_path), before)
    # And back.
    tool("convert", tmp_path / "ours", tmp_path / "back", "rms_norm")
    assert torch.equal(their_logits(load_there(tmp_path / "back"), random_tokens()),
                       their_logits(load_there(tmp_path / "hf"), random_tokens()))
    assert "already exists" in refused("convert", tmp_path / "hf", tmp_path / "ours", "seed_norm")


REFUSED = {
    "clip_qkv": dict(clip_qkv=8.0),
    "attention_bias": dict(attention_bias=True),
    "attention_dropout": dict(attention_dropout=0.1),
    "hidden_act": dict(hidden_act="gelu"),
    "rope_type": dict(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}),
    "yarn": dict(rope_parameters={"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_by_name(what, tmp_path):
    model_of(config_of("olmoe", **REFUSED[what])).save_pretrained(tmp_path / "hf")
    message = refused("save", tmp_path / "hf", tmp_path / "ours")
    assert "config.json" in message and what in message


def test_tied_head_in_the_file(tmp_path):
    model = model_of(config_of("olmo2-tied"))
    model.save_pretrained(tmp_path / "hf")
    path = tmp_path / "hf" / "model.safetensors"
    tensors = load_file(path)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, path)
    want = their_logits(model, random_tokens())
    assert error(our_logits(tmp_path / "hf", random_tokens(), tmp_path), want) < MAX_ERROR
    tensors["lm_head.weight"][0, 0] += 1
    save_file(tensors, path)
    assert "lm_head.weight" in refused("save", tmp_path / "hf", tmp_path / "ours")
