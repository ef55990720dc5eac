"""Llama 3 of torchtitan with its own override mechanism, initialization, optimizers and state dictionaries, in one process.

torchtitan's attention for language models has no backward pass on the CPU, so the model has its plain one here.
"""

import sys
from unittest import mock

from steps import check_equal, check_start, check_trained, check_undecayed, require

# Kernels in Triton of an expert-parallel backend, which torchtitan imports with every model; the CPU has no Triton.
sys.modules["torchtitan.distributed.minimal_async_ep.kernels"] = mock.MagicMock()
require("torchtitan.models.llama3", "torchtitan.components.optimizer")
import seednorm
import torch
from seednorm.integrations.torchtitan import SeeDNorm, decayed_group
from torchtitan.components.optimizer import OptimizersContainer, ParamGroupConfig
from torchtitan.config.override import OverrideConfig, apply_overrides
from torchtitan.models.common.attention import ScaledDotProductAttention
from torchtitan.models.llama3 import _debugmodel
from torchtitan.models.llama3.sharding import set_llama3_sharding_config

ids = torch.randint(0, 2048, (2, 16), generator=torch.Generator().manual_seed(1))
positions = torch.arange(16).expand(2, 16)


def config_of(overrides):
    config = _debugmodel("flex")
    config.layers = config.layers[:2]
    for layer in config.layers:
        layer.attention.inner_attention = ScaledDotProductAttention.Config()
    set_llama3_sharding_config(config, enable_sp=True)  # the trainer does this before it applies overrides
    apply_overrides(OverrideConfig(imports=overrides), config)
    return config


def make(config):
    torch.manual_seed(0)
    model = config.build()
    model.init_states()
    return model


def optimizer_of(model, *groups):
    kwargs = dict(lr=1e-2, weight_decay=0.1)
    no_decay = ParamGroupConfig(pattern="norm", optimizer_name="AdamW", optimizer_kwargs={**kwargs, "weight_decay": 0.0})
    rest = ParamGroupConfig(pattern=".*", optimizer_name="AdamW", optimizer_kwargs=kwargs)
    config = OptimizersContainer.Config(param_groups=[*groups, no_decay, rest], implementation="for-loop")
    return config.build(model_parts=[model])


def run(model):
    return model(ids, positions)


config = config_of([("seednorm.integrations.torchtitan.seed_norm", {"num_heads": 4, "alpha_init": 0.5})])
for norm in (config.norm, config.layers[0].attention_norm):
    layouts = norm.sharding_config.state_shardings
    assert layouts.keys() == {"weight", "alpha", "beta"} and layouts["alpha"] == layouts["beta"] == layouts["weight"]
model = make(config)
norms = [m for m in model.modules() if isinstance(m, SeeDNorm)]
assert len(norms) == 5 and not [m for m in model.modules() if isinstance(m, torch.nn.RMSNorm)]
assert all((m.alpha == 0.5).all() and (m.beta == 0).all() and m.num_heads == 4 for m in norms)
check_start(model, make(config_of([])), run)

check_undecayed(optimizer_of(model), model)
optimizer = optimizer_of(model, decayed_group(dict(lr=1e-2, weight_decay=0.1)))
print(seednorm.check_decay(optimizer, model))
try:
    decayed_group(dict(lr=1e-2))
    raise AssertionError("no decay went through")
except ValueError as error:
    assert "[decayed_group] optimizer_kwargs: expected a weight_decay > 0" in str(error)
for _ in range(3):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(run(model).flatten(0, 1), ids.roll(-1, 1).flatten()).backward()
    optimizer.step()
check_trained(model)

back = make(config)
back.load_state_dict(model.state_dict())
again = optimizer_of(back, decayed_group(dict(lr=1e-2, weight_decay=0.1)))
again.load_state_dict(optimizer.state_dict())
with torch.no_grad():
    check_equal(run(back.eval()), run(model.eval()))
