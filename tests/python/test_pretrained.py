"""Convert, train, save, load, go on: one test for each family of transformers."""

import copy
import json
import os
import pickle
import subprocess
import sys

import pytest
import seednorm
import torch
from seednorm import _record
from test_convert_transformers import MODELS, SIZES

transformers = pytest.importorskip("transformers")

#: Beside those that the outputs of a conversion are tested with, config class -> options.
MORE = {
    "Qwen2": {},
    "Phi3": {},
    "Glm": dict(head_dim=16),
    "Olmo3": {},
    "Granite": {},
    "Mixtral": dict(num_local_experts=4),
    "Starcoder2": None,  # LayerNorm: nothing to convert
}
FAMILIES = {name: options for name, (options, _) in MODELS.items()} | {k: v for k, v in MORE.items() if v is not None}


def make(name):
    torch.manual_seed(0)
    prefix = f"{name}Text" if name == "Gemma3" else name
    config = getattr(transformers, f"{prefix}Config")(**SIZES, **FAMILIES[name])
    return getattr(transformers, f"{name}ForCausalLM")(config), torch.randint(0, 96, (2, 16))


def logits(model, ids):
    with torch.no_grad():
        return copy.deepcopy(model).eval()(ids).logits


def train(model, ids, steps=2, optimizer=None):
    optimizer = optimizer or torch.optim.AdamW(seednorm.param_groups(model, weight_decay=0.1), lr=1e-2)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", FAMILIES)
def test_convert_train_save_load_go_on(name, tmp_path):
    model, ids = make(name)
    seednorm.convert(model, num_heads=2, alpha_init=0.5, sigma="softsign")
    train(model.train(), ids)
    assert any(p.any() for key, p in model.named_parameters() if key.endswith("beta"))
    model.save_pretrained(tmp_path)
    entries = json.loads((tmp_path / "config.json").read_text())["seednorm"]["modules"]
    assert all("*" in pattern or pattern.endswith("norm") for entry in entries for pattern in entry["names"]), entries
    back, info = seednorm.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert type(back) is type(model)
    assert back.state_dict().keys() == model.state_dict().keys()
    norms = [repr(m) for m in model.modules() if isinstance(m, seednorm.SeeDNorm)]
    assert norms and [repr(m) for m in back.modules() if isinstance(m, seednorm.SeeDNorm)] == norms
    assert torch.equal(logits(back, ids), logits(model, ids))
    auto = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(auto, ids), logits(model, ids))
    # Both go on alike, and what is saved then comes back too.
    assert train(back.train(), ids) == train(model.train(), ids)
    back.save_pretrained(tmp_path / "again")
    assert torch.equal(logits(seednorm.from_pretrained(tmp_path / "again"), ids), logits(model, ids))


@pytest.fixture
def saved(tmp_path):
    """A converted Llama with random alpha and beta, its folder, and ids."""
    model, ids = make("Llama")
    seednorm.convert(model)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if key.endswith(("alpha", "beta")):
                p.copy_(torch.randn(p.shape))
    model.save_pretrained(tmp_path)
    return model.eval(), tmp_path, ids


def test_dtype_shards_and_meta_device(saved, tmp_path):
    model, folder, ids = saved
    half = seednorm.from_pretrained(folder, dtype=torch.bfloat16)  # .bfloat16() would round the rotations' frequencies too
    half.save_pretrained(tmp_path / "half", max_shard_size="40KB")
    assert len(list((tmp_path / "half").glob("*.safetensors"))) > 1
    back = seednorm.from_pretrained(tmp_path / "half", dtype="auto", low_cpu_mem_usage=True)
    assert {p.dtype for p in back.parameters()} == {torch.bfloat16}
    assert torch.equal(logits(back, ids), logits(half, ids))
    with torch.device("meta"):
        empty = transformers.AutoModelForCausalLM.from_config(model.config)
    assert {p.device.type for p in empty.parameters()} == {"meta"}
    empty.load_state_dict(model.state_dict(), assign=True)
    kept = {key: p.data_ptr() for key, p in empty.named_parameters()}
    assert kept == {key: p.data_ptr() for key, p in model.named_parameters()}


def test_layers_are_made_before_the_weights_are_read(saved, monkeypatch):
    """On the meta device, so that loading makes no second copy of any weight."""
    made, layer_of = [], _record._layer

    def noting(*arguments):
        made.append(layer_of(*arguments))
        assert {p.device.type for p in made[-1].parameters()} == {"meta"}
        return made[-1]

    monkeypatch.setattr(_record, "_layer", noting)
    model, folder, ids = saved
    back = seednorm.from_pretrained(folder)
    assert set(made) == {m for m in back.modules() if isinstance(m, seednorm.SeeDNorm)}
    assert torch.equal(logits(back, ids), logits(model, ids))


def test_the_model_without_its_head_and_back(saved, tmp_path):
    model, folder, ids = saved
    body = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        assert torch.equal(body(ids).last_hidden_state, model.model(ids).last_hidden_state)
    body.save_pretrained(tmp_path / "body")
    whole = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "body").eval()
    with torch.no_grad():
        assert torch.equal(whole.model(ids).last_hidden_state, model.model(ids).last_hidden_state)


def test_some_layers_then_others_and_some_back(tmp_path):
    model, ids = make("Qwen3")
    seednorm.convert(model, include="model.layers.0.*", num_heads=4)
    seednorm.convert(model, include="*.q_norm", exclude="*.0.*", dropout=0.5)
    seednorm.convert(model, to="rms_norm", include="model.layers.0.input_layernorm")
    train(model.eval(), ids)
    model.save_pretrained(tmp_path)
    back = seednorm.from_pretrained(tmp_path)
    assert torch.equal(logits(back, ids), logits(model, ids))
    layer = back.model.layers
    assert type(layer[0].input_layernorm) is seednorm.RMSNorm
    assert layer[0].self_attn.q_norm.num_heads == 4 and layer[1].self_attn.q_norm.dropout == 0.5
    assert not isinstance(layer[1].self_attn.k_norm, seednorm.SeeDNorm)


def test_compiled_pickled_and_copied_after_loading(saved):
    model, folder, ids = saved
    back = seednorm.from_pretrained(folder)
    for other in (pickle.loads(pickle.dumps(back)), copy.deepcopy(back)):
        assert torch.equal(logits(other, ids), logits(model, ids))
    with torch.no_grad():
        compiled = torch.compile(back.eval(), backend="aot_eager")(ids).logits
    assert (compiled - logits(model, ids)).abs().max() <= 1e-5


def test_missing_values_get_initial_ones_from_automodel_and_an_error_here(saved, tmp_path):
    """A plain checkpoint beside a configuration that names layers."""
    model, folder, ids = saved
    plain, _ = make("Llama")
    plain.save_pretrained(tmp_path / "plain")
    (tmp_path / "plain" / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ValueError, match="lacks 10 tensors of its norms, model.layers.0.input_layernorm.alpha first"):
        seednorm.from_pretrained(tmp_path / "plain")
    back = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "plain")
    assert all(m.alpha.eq(1).all() and m.beta.eq(0).all() for m in back.modules() if isinstance(m, seednorm.SeeDNorm))


@pytest.mark.parametrize("change, message", [
    (lambda own: own.clear(), "no entry 'seednorm'"),
    (lambda own: own["modules"][0].update(names=["model.nothing"]), "does not have: model.nothing"),
    (lambda own: own["modules"][0].update(norm="batch_norm"), "expected a norm of .*, got 'batch_norm'"),
    (lambda own: own["modules"][0].update(dim=32), "its width is 32, but it is 64"),
    (lambda own: own["modules"][0]["options"].update(head_count=2), "cannot make: .*head_count"),
])  # fmt: skip
def test_entries_that_do_not_fit(saved, change, message):
    _, folder, _ = saved
    config = json.loads((folder / "config.json").read_text())
    change(config["seednorm"])
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        seednorm.from_pretrained(folder)


def test_resumed_by_the_trainer(tmp_path):
    pytest.importorskip("accelerate")
    ids = torch.randint(0, 96, (8, 16), generator=torch.Generator().manual_seed(0))
    rows = [dict(input_ids=row, labels=row) for row in ids]

    def trainer(steps):
        model, _ = make("Llama")
        seednorm.convert(model)
        groups = seednorm.param_groups(model, weight_decay=0.1)
        optimizer = torch.optim.AdamW(groups, lr=1e-2)
        arguments = transformers.TrainingArguments(
            tmp_path / "run", max_steps=steps, save_steps=2, per_device_train_batch_size=2, report_to="none", use_cpu=True,
            lr_scheduler_type="constant",
        )  # fmt: skip
        return transformers.Trainer(model, arguments, train_dataset=rows, optimizers=(optimizer, None))

    whole = trainer(4)
    whole.train()
    again = trainer(4)
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    for (name, a), b in zip(whole.model.named_parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b), name
    back = seednorm.from_pretrained(tmp_path / "run" / "checkpoint-4")
    assert torch.equal(logits(back, ids), logits(whole.model, ids))


def test_adapters_by_peft(saved, tmp_path):
    peft = pytest.importorskip("peft")
    model, folder, ids = saved
    settings = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["input_layernorm", "norm"])
    wrapped = peft.get_peft_model(seednorm.from_pretrained(folder), settings)
    trained = {name for name, p in wrapped.named_parameters() if p.requires_grad}
    assert any(name.endswith("alpha") for name in trained) and any(name.endswith("beta") for name in trained)
    train(wrapped, ids, optimizer=torch.optim.AdamW([p for p in wrapped.parameters() if p.requires_grad], lr=1e-2))
    wrapped.save_pretrained(tmp_path / "adapter")
    back = peft.PeftModel.from_pretrained(seednorm.from_pretrained(folder), tmp_path / "adapter")
    assert torch.equal(logits(back, ids), logits(wrapped, ids))
    assert not torch.equal(logits(back, ids), logits(model, ids))
    merged = back.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    assert torch.equal(logits(seednorm.from_pretrained(tmp_path / "merged"), ids), logits(merged, ids))


@pytest.mark.parametrize("first, second", [("seednorm", "transformers"), ("transformers", "seednorm")])
def test_transformers_loads_them_wherever_seednorm_was_imported(first, second, saved):
    _, folder, _ = saved
    program = (
        f"import {first}, sys\n"
        "loaded = 'transformers' in sys.modules\n"
        f"import {second}, transformers\n"
        f"assert loaded == {first == 'transformers'}, 'importing seednorm must not import transformers'\n"
        "model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "assert type(model.model.norm) is seednorm.SeeDNorm and model.model.norm.beta.any()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)


LOAD_SELF_CONTAINED = """
import pathlib, sys, torch
if sys.argv[2] == "without": sys.modules["seednorm"] = None  # importing it fails then
import transformers
folders = sorted(pathlib.Path(sys.argv[1]).glob("shared-*"))
for folder in folders:
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    assert type(model).__module__.startswith("transformers_modules") and not any(info.values()), (folder.name, info)
    ids, wanted = torch.load(folder / "wanted")
    with torch.no_grad(): got = model.eval()(ids).logits
    if sys.argv[2] == "with": assert torch.equal(got, wanted), (folder.name, (got - wanted).abs().max())
    assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max(), (folder.name, (got - wanted).abs().max())
print(len(folders))
"""


def test_self_contained_folders_need_only_transformers(tmp_path):
    forms = {"Gemma2": dict(num_heads=4, sigma="gelu", dot_scale=0.5), "Qwen3": dict(alpha_init=0.3, sigma="hardtanh")}
    for name in FAMILIES:
        model, ids = make(name)
        seednorm.convert(model, **forms.get(name, {}))
        train(model.train(), ids)
        folder = tmp_path / f"shared-{name}"
        seednorm.save_pretrained(model, folder, self_contained=True)
        assert not hasattr(model.config, "auto_map")
        torch.save((ids, logits(model, ids)), folder / "wanted")
        assert torch.equal(logits(seednorm.from_pretrained(folder), ids), logits(model, ids))
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    for package in ("with", "without"):
        command = [sys.executable, "-c", LOAD_SELF_CONTAINED, str(tmp_path), package]
        printed = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
        assert int(printed.split()[-1]) == len(FAMILIES)


def test_self_contained_folders_name_the_auto_class_of_their_model(tmp_path):
    model = transformers.LlamaForTokenClassification(transformers.LlamaConfig(**SIZES))
    seednorm.convert(model)
    seednorm.save_pretrained(model, tmp_path, self_contained=True)
    name = "modeling_seednorm.SeeDNormLlamaForTokenClassification"
    assert json.loads((tmp_path / "config.json").read_text())["auto_map"] == {"AutoModelForTokenClassification": name}


def test_only_converted_models_are_saved_so(tmp_path):
    with pytest.raises(ValueError, match="expected a transformers model that seednorm.convert has changed"):
        seednorm.save_pretrained(make("Llama")[0], tmp_path)
