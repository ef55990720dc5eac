"""The verb `generate` beside transformers' generate, and seednorm.hf beside the lab, on the same weights.

    SEEDNORM_PROGRAM=build/lab/bin/seednorm SEEDNORM_HF_TOOL=build/lab/tests/lab/lab_hf_tool \
        python -m pytest tests/lab/language/interop/generate_parity_test.py
"""
import json
import os
import subprocess

import parity_test
import pytest
import torch
import transformers
from parity_test import config_of, error, load_there, model_of, our_logits, random_tokens, their_logits, tool

PROGRAM = os.environ.get("SEEDNORM_PROGRAM")
pytestmark = [parity_test.pytestmark, pytest.mark.skipif(not PROGRAM, reason="SEEDNORM_PROGRAM names no program")]

PROMPTS = ["In the beginning God created the heaven and the earth.", "And", "x", "And God said, Let there be light"]
VOCABULARY = 260  # the 257 of bytes, and some that nobody uses


def seednorm(*args):
    done = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ours(folder, tmp_path, *args):
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS))
    seednorm("generate", "--model", folder, "--tokenizer", "byte", "--prompts", tmp_path / "prompts.txt", "--temperature", 0,
             "--max-tokens", 40, "--json", tmp_path / "out.json", *args)
    return [g["tokens"] for g in json.loads((tmp_path / "out.json").read_text())["generations"]]


def theirs(model):
    out = []
    for prompt in PROMPTS:
        ids = torch.tensor([list(prompt.encode())])
        out.append(model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False,
                                  pad_token_id=0)[0, ids.shape[1]:].tolist())
    return out


@pytest.mark.parametrize("case", parity_test.CASES)
def test_greedy_tokens(case, tmp_path):
    model = model_of(config_of(case, vocab_size=VOCABULARY, eos_token_id=None))
    want = theirs(model)
    # A token that ends texts, and that most of them reach.
    model.config.eos_token_id = model.generation_config.eos_token_id = want[0][10]
    model.save_pretrained(tmp_path / "hf")
    want = theirs(load_there(tmp_path / "hf"))
    assert len(want[0]) <= 11
    assert ours(tmp_path / "hf", tmp_path) == want


@pytest.mark.parametrize("case", ["olmo2", "olmoe"])
def test_stored_dtypes(case, tmp_path):
    """16-bit weights with float32 activations are the same model there."""
    for dtype in (torch.bfloat16, torch.float16):
        model = model_of(config_of(case, vocab_size=VOCABULARY)).to(dtype)
        model.save_pretrained(tmp_path / str(dtype))
        want = theirs(load_there(tmp_path / str(dtype)))
        assert ours(tmp_path / str(dtype), tmp_path, "--dtype", "float32") == want


OWN = {
    "seed_norm": dict(norm="seed_norm"),
    "heads": dict(norm="seed_norm(num_heads=2, alpha_init=0.5)", qk_norm="head"),
    "forms": dict(norm="seed_norm(sigma=softsign, dot_scale=1/d, gamma=plus_one, alpha=scalar, beta=elementwise)"),
    "dyt": dict(norm="dyt(alpha_init=1)", qk_norm="head", embedding_scale=True),
    "derf": dict(norm="derf"),
    "scale_norm": dict(norm="scale_norm", qk_norm="head"),
    "layer_norm": dict(norm="layer_norm"),
}


def own(norm, qk_norm="all", embedding_scale=False):
    return dict(norm=dict.fromkeys(("block", "qk", "output"), norm), qk_norm=qk_norm, frac_rate=0,
                embedding_scale=embedding_scale)


@pytest.mark.parametrize("norms", OWN)
@pytest.mark.parametrize("case", ["olmo2-tied", "olmoe-topk"])
def test_models_of_the_lab_in_transformers(case, norms, tmp_path):
    """Saved by the lab, loaded there with no key missing or unexpected; saved there, loaded here."""
    pytest.importorskip("seednorm.hf", reason="the package seednorm is not installed; script/test-python does it")
    settings = config_of(case, vocab_size=VOCABULARY).to_dict()
    settings |= dict(model_type="seednorm_" + settings["model_type"], seednorm=own(**OWN[norms]))
    (tmp_path / "config.json").write_text(json.dumps(settings))
    tool("make", tmp_path / "config.json", tmp_path / "ours", "noise")
    made = json.loads((tmp_path / "ours/config.json").read_text())
    (tmp_path / "ours/config.json").write_text(json.dumps(made | dict(eos_token_id=7)))  # else the tokenizer's ends texts
    model, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), info
    tokens = random_tokens(VOCABULARY)
    want = our_logits(tmp_path / "ours", tokens, tmp_path)
    assert error(their_logits(model.eval(), tokens), want) < parity_test.MAX_ERROR
    model.save_pretrained(tmp_path / "back")
    assert torch.equal(our_logits(tmp_path / "back", tokens, tmp_path), want)
    assert ours(tmp_path / "back", tmp_path) == theirs(model)
