"""Llama 3 of torchtitan, small, with its own override mechanism, initialization and optimizers."""

import sys
from unittest import mock

from steps import require

# torchtitan imports an expert-parallel backend's kernels, which need Triton, with every model; the CPU has no Triton.
sys.modules["torchtitan.distributed.minimal_async_ep.kernels"] = mock.MagicMock()
require("torchtitan.models.llama3", "torchtitan.components.optimizer")
import torch
from torchtitan.components.optimizer import OptimizersContainer, ParamGroupConfig
from torchtitan.config.override import OverrideConfig, apply_overrides
from torchtitan.models.common.attention import ScaledDotProductAttention
from torchtitan.models.llama3 import _debugmodel
from torchtitan.models.llama3.sharding import set_llama3_sharding_config

SEED_NORM = [("seednorm.integrations.torchtitan.seed_norm", {"num_heads": 4, "alpha_init": 0.5})]


def config_of(overrides):
    config = _debugmodel("flex")
    config.layers = config.layers[:2]
    # Flex attention has no backward pass on the CPU.
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
