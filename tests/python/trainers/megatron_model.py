"""A small GPT of Megatron-core, on the CPU.

Megatron-core asks for CUDA devices by name. Here they are the CPU, and random states of devices are left alone.
"""

import contextlib

from steps import require

require("megatron.core.models.gpt", "megatron.core.optimizer")
import torch
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.optimizer import OptimizerConfig
from megatron.core.tensor_parallel.random import CudaRNGStatesTracker
from megatron.core.transformer import TransformerConfig
from torch.overrides import TorchFunctionMode


class OnCpu(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if str(kwargs.get("device", "")).startswith("cuda"):
            kwargs["device"] = "cpu"
        return function(*args, **kwargs)


torch.cuda.current_device = lambda: "cpu"
CudaRNGStatesTracker.fork = lambda self, name=None: contextlib.nullcontext()

plain_layer = get_gpt_layer_local_spec(normalization="RMSNorm", qk_layernorm=True)
ids = torch.randint(0, 64, (2, 8), generator=torch.Generator().manual_seed(0))
positions, mask = torch.arange(8).expand(2, 8), torch.ones(1, 1, 8, 8).triu(1).bool()


def config_of(**options):
    return TransformerConfig(
        num_layers=2, hidden_size=32, num_attention_heads=4, use_cpu_initialization=True, normalization="RMSNorm",
        qk_layernorm=True, add_bias_linear=False, hidden_dropout=0.0, attention_dropout=0.0, bias_dropout_fusion=False,
        masked_softmax_fusion=False, gradient_accumulation_fusion=False, **options,
    )  # fmt: skip


def make(config, spec):
    torch.manual_seed(0)
    return GPTModel(config, spec, vocab_size=64, max_sequence_length=8)


settings = OptimizerConfig(optimizer="adam", lr=1e-2, weight_decay=0.1, clip_grad=0.0)
