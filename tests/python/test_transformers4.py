"""transformers 4: parameters named beta inside of a module named LayerNorm survive, missing parameters get initial values, and
converted models are refused.

The real library is asked where script/setup-torch has installed it.
"""

import os
import pathlib
import subprocess
import sys
import types

import pytest
from torch import nn

import seednorm
from seednorm import _transformers4

REAL = """
import os, pathlib, sys, tempfile, torch, transformers, seednorm
from safetensors.torch import load_file, save_file
class Config(transformers.PretrainedConfig): model_type = "tiny"
class Model(transformers.PreTrainedModel):
    config_class = Config
    def __init__(self, config):
        super().__init__(config)
        self.LayerNorm = seednorm.SeeDNorm(8)
        self.post_init()
    def _init_weights(self, module): pass
model = Model(Config())
with torch.no_grad():
    for parameter in model.parameters(): parameter.copy_(torch.randn(parameter.shape))
folder = tempfile.mkdtemp()
model.save_pretrained(folder)
again = Model.from_pretrained(folder)
assert transformers.__version__.startswith("4."), transformers.__version__
assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))

file = pathlib.Path(folder, "model.safetensors")
save_file({key: value for key, value in load_file(file).items() if key.endswith("weight")}, file, {"format": "pt"})
layer = Model.from_pretrained(folder).LayerNorm
assert torch.equal(layer.weight, model.LayerNorm.weight) and layer.alpha.eq(1).all() and layer.beta.eq(0).all()

config = transformers.LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
llama = transformers.LlamaForCausalLM(config)
seednorm.convert(llama)
llama.save_pretrained(folder)
try:
    transformers.AutoModelForCausalLM.from_pretrained(folder)
    raise AssertionError("the model was loaded without its layers")
except ImportError as error:
    assert "seednorm.hf needs transformers 5 or later" in str(error), error
"""


class Renaming(nn.Module):
    """A model as transformers 4 loads one."""

    def _get_key_renaming_mapping(self, checkpoint_keys: list[str]) -> dict[str, str]:
        renamed = {key: key.replace("LayerNorm.beta", "LayerNorm.bias") for key in checkpoint_keys}
        return {key: new.replace("LayerNorm.gamma", "LayerNorm.weight") for key, new in renamed.items()}


class Block(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.LayerNorm = norm


def test_only_names_of_our_own_parameters_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    utils = types.SimpleNamespace(PreTrainedModel=Renaming)
    monkeypatch.setitem(sys.modules, "transformers.modeling_utils", utils)
    monkeypatch.setattr(Renaming, "_get_key_renaming_mapping", Renaming._get_key_renaming_mapping)
    model = Renaming()
    model.a, model.b, model.c = Block(seednorm.SeeDNorm(8)), Block(seednorm.LayerNorm(8)), Block(nn.LayerNorm(8))
    _transformers4.keep_names(seednorm.SeeDNorm.__mro__[1])  # a second time changes nothing
    keys = [f"{block}.LayerNorm.beta" for block in "abc"]
    assert model._get_key_renaming_mapping(keys) == {
        "a.LayerNorm.beta": "a.LayerNorm.beta",
        "b.LayerNorm.beta": "b.LayerNorm.bias",
        "c.LayerNorm.beta": "c.LayerNorm.bias",
    }


def test_the_real_library() -> None:
    folder = pathlib.Path(__file__).parents[2] / "build/transformers4"
    if not folder.exists():
        pytest.skip("no build/transformers4; script/setup-torch makes it")
    path = os.pathsep.join([str(folder), *sys.path])
    subprocess.run([sys.executable, "-c", REAL], check=True, env={**os.environ, "PYTHONPATH": path})
