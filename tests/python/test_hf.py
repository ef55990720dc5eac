"""seednorm.hf: SeeDNorm models in transformers. That the lab agrees is tested by tests/lab/language/interop/parity_test.py."""

import copy
import pickle

import pytest
import seednorm
import torch

transformers = pytest.importorskip("transformers")
hf = pytest.importorskip("seednorm.hf")

SIZES = dict(vocab_size=96, hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.1, pad_token_id=None,
             bos_token_id=None, eos_token_id=None)  # fmt: skip
TYPES = {"olmo2": {}, "olmoe": dict(num_experts=6, num_experts_per_tok=2)}


def everywhere(norm):
    return dict.fromkeys(("block", "qk", "output"), norm)


OWN = {
    "default": {},
    "per_head": dict(qk_norm="head"),
    "heads": dict(norm=everywhere("seed_norm(num_heads=2, alpha_init=0.5, eps=1e-5)"), qk_norm="head"),
    "forms": dict(norm=everywhere("seed_norm(sigma=softsign, dot_scale=1/d, alpha=scalar, beta=elementwise)")),
    "mixed": dict(norm=dict(block="dyt(alpha_init=1)", qk="rms_norm(gamma=plus_one)", output="layer_norm")),
    "scaled": dict(norm=dict(block="derf", qk="scale_norm", output="seed_norm"), embedding_scale=True),
}


def config_of(kind, own=None, **more):
    settings = SIZES | TYPES[kind] | more
    if own is None:
        return transformers.AutoConfig.for_model(kind, **settings)
    return transformers.AutoConfig.for_model(f"seednorm_{kind}", **settings, seednorm=own)


def model_of(kind, own=None, noise=0.2, **more):
    """The model; what norms have is moved away from its initial values."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config_of(kind, own, **more)).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p += noise * torch.randn_like(p)
    return model


def tokens(rows=2, length=16):
    return torch.randint(0, 96, (rows, length), generator=torch.Generator().manual_seed(1))


def logits(model):
    with torch.no_grad():
        return model(tokens()).logits


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("kind", TYPES)
def test_there_and_back(kind, own, tmp_path):
    model = model_of(kind, OWN[own])
    assert type(model).__name__ == dict(olmo2="SeeDNormOlmo2ForCausalLM", olmoe="SeeDNormOlmoeForCausalLM")[kind]
    model.save_pretrained(tmp_path)
    back, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert torch.equal(logits(back), logits(model))
    assert back.config.seednorm == model.config.seednorm


@pytest.mark.parametrize("kind", TYPES)
def test_norms_are_where_the_configuration_says(kind):
    own = dict(norm=dict(block="seed_norm(num_heads=4)", qk="dyt(alpha_init=0.25)", output="layer_norm"), qk_norm="head")
    model = model_of(kind, own, noise=0).model
    layer = model.layers[1]
    assert layer.post_attention_layernorm.num_heads == 4
    assert layer.self_attn.q_norm.dim == 16
    assert layer.self_attn.k_norm.alpha.item() == 0.25
    assert layer.self_attn.k_norm.weight.shape == (16,)
    assert isinstance(model.norm, seednorm.LayerNorm)
    assert model.norm.eps == model.config.rms_norm_eps


@pytest.mark.parametrize("kind", TYPES)
def test_starts_as_the_model_with_rms_norm(kind):
    plain, seed = model_of(kind, noise=0), model_of(kind, {}, noise=0)
    names = dict(plain.named_parameters())
    with torch.no_grad():
        for name, p in seed.named_parameters():
            if name in names:
                p.copy_(names[name])
    # The sum of squares and its root may round differently: a few 1e-7 in each of a dozen norms.
    assert (logits(seed) - logits(plain)).abs().max() < 1e-5 * logits(plain).abs().max()


def test_a_head_is_normalized_alone():
    """With num_heads = heads, SeeDNorm over all heads differs from SeeDNorm of each: the root is over all."""
    own = dict(norm=everywhere("rms_norm"), qk_norm="head")
    norm = model_of("olmo2", own).model.layers[0].self_attn.q_norm
    x = torch.randn(3, 64)
    want = torch.nn.functional.rms_norm(x.view(3, 4, 16), (16,), norm.weight, norm.eps).flatten(1)
    torch.testing.assert_close(norm(x), want)


@pytest.mark.parametrize("own", ["default", "heads", "scaled"])
@pytest.mark.parametrize("kind", TYPES)
def test_training(kind, own):
    model = model_of(kind, OWN[own], noise=0.05, tie_word_embeddings=True).train()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    groups = seednorm.param_groups(model, weight_decay=0.1)
    optimizer = torch.optim.AdamW(groups, lr=3e-3)
    seednorm.check_param_groups(optimizer, model)
    dynamic = next(group for group in groups if group["name"] == "dynamic")
    norms = [m for m in model.modules() if isinstance(m, seednorm.SeeDNorm)]
    assert {id(p) for p in dynamic["params"]} >= {id(p) for m in norms for p in (m.alpha, m.beta)}
    losses = []
    for _ in range(8):
        loss = model(input_ids=tokens(), labels=tokens()).loss
        optimizer.zero_grad()
        loss.backward()
        for norm in norms:
            assert norm.alpha.grad.abs().max() > 0 and norm.beta.grad.abs().max() > 0
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("kind", TYPES)
def test_generate_with_and_without_a_cache(kind):
    model = model_of(kind, OWN["heads"])
    texts = [model.generate(tokens(), max_new_tokens=8, do_sample=False, use_cache=cache) for cache in (True, False)]
    assert torch.equal(*texts)


@pytest.mark.parametrize("kind", TYPES)
def test_copies_and_pickles(kind):
    model = model_of(kind, OWN["scaled"] | dict(qk_norm="head"))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(logits(other), logits(model))


def test_missing_parameters_get_their_initial_values(tmp_path):
    """A checkpoint with RMSNorm, read as one with SeeDNorm, is SeeDNorm's start."""
    plain = model_of("olmo2")
    plain.save_pretrained(tmp_path)
    config = config_of("olmo2", dict(norm=everywhere("seed_norm(alpha_init=0.5)")))
    model, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, config=config, output_loading_info=True)
    assert all(name.endswith((".alpha", ".beta")) for name in info["missing_keys"])
    assert {p.mean().item() for name, p in model.named_parameters() if name.endswith(".alpha")} == {0.5}
    assert (logits(model) - logits(plain)).abs().max() < 1e-5 * logits(plain).abs().max()


@pytest.mark.parametrize("own, what", [
    (dict(frac_rate=4), "frac_rate"),
    (dict(qk_norm="heads"), "qk_norm"),
    (dict(norm=everywhere("batch_norm")), "batch_norm"),
    (dict(norm=everywhere("seed_norm(heads=2)")), "heads"),
    (dict(norm=everywhere("seed_norm(num_heads=2")), "num_heads=2"),
    (dict(norm=everywhere("seed_norm(num_heads=7)")), "num_heads"),
    (dict(norm=everywhere("seed_norm(num_heads)")), "num_heads"),
    (dict(norm=everywhere("seed_norm)")), "in brackets"),
    (dict(norm=dict(block="seed_norm")), "output"),
    (dict(frac=4), "frac_rate"),
])  # fmt: skip
def test_refused_by_name(own, what):
    with pytest.raises(ValueError, match=what):
        model_of("olmo2", own)
