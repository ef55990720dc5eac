"""A GPT of Megatron-core with SeeDNorm in its specs, its optimizer and its checkpoints.

Megatron-core asks for CUDA devices by name. Here they are the CPU, and random states of devices are left alone.
"""

import contextlib
import os

import torch
from steps import check_equal, check_start, check_trained, check_undecayed, require
from torch.overrides import TorchFunctionMode

require("megatron.core.models.gpt", "megatron.core.optimizer")
import seednorm
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer
from megatron.core.tensor_parallel.random import CudaRNGStatesTracker
from megatron.core.transformer import TransformerConfig
from seednorm.integrations.megatron import block_spec, config_overrides


class OnCpu(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if str(kwargs.get("device", "")).startswith("cuda"):
            kwargs["device"] = "cpu"
        return function(*args, **kwargs)


torch.cuda.current_device = lambda: "cpu"
CudaRNGStatesTracker.fork = lambda self, name=None: contextlib.nullcontext()

os.environ.update(RANK="0", WORLD_SIZE="1")
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
parallel_state.initialize_model_parallel(1)
config = TransformerConfig(
    num_layers=2, hidden_size=32, num_attention_heads=4, use_cpu_initialization=True, normalization="RMSNorm",
    qk_layernorm=True, add_bias_linear=False, hidden_dropout=0.0, attention_dropout=0.0, bias_dropout_fusion=False,
    masked_softmax_fusion=False, gradient_accumulation_fusion=False,
)  # fmt: skip
layer = get_gpt_layer_local_spec(normalization="RMSNorm", qk_layernorm=True)
ids = torch.randint(0, 64, (2, 8), generator=torch.Generator().manual_seed(0))
positions, mask = torch.arange(8).expand(2, 8), torch.ones(1, 1, 8, 8).triu(1).bool()


def make(spec):
    torch.manual_seed(0)
    return GPTModel(config, spec, vocab_size=64, max_sequence_length=8)


def optimizer_of(model, **options):
    settings = OptimizerConfig(optimizer="adam", lr=1e-2, weight_decay=0.1, clip_grad=0.0)
    return get_megatron_optimizer(settings, [model], use_gloo_process_groups=True, **options)


with OnCpu():
    model = make(block_spec(config, layer, num_heads=2))
    norms = [m for m in model.modules() if isinstance(m, seednorm.SeeDNorm)]
    assert len(norms) == 2 * 4 + 1 and not [m for m in model.modules() if isinstance(m, torch.nn.RMSNorm)]
    check_start(model, make(layer), lambda m: m(ids, positions, mask))

    wrapped = DistributedDataParallel(config, DistributedDataParallelConfig(), model)
    check_undecayed(optimizer_of(wrapped), wrapped)
    settings = OptimizerConfig(optimizer="adam", lr=1e-2, weight_decay=0.1, clip_grad=0.0)
    optimizer = optimizer_of(wrapped, config_overrides=config_overrides(settings, [wrapped]))
    print(seednorm.check_decay(optimizer, wrapped))
    decayed = {id(p) for group in optimizer.param_groups if group["wd_mult"] for p in group["params"]}
    gains = [norm.weight for norm in norms]
    assert not decayed & {id(getattr(p, "main_param", p)) for p in gains}, "gamma is decayed"

    for _ in range(3):
        wrapped.zero_grad_buffer()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(wrapped(ids, positions, mask).flatten(0, 1), ids.flatten())
        loss.backward()
        wrapped.finish_grad_sync()
        optimizer.step()
    check_trained(model)

    state = model.state_dict()
    assert any(key.endswith("final_layernorm.beta") for key in model.sharded_state_dict())
    back = make(block_spec(config, layer, num_heads=2))
    back.load_state_dict(state)
    with torch.no_grad():
        check_equal(back.eval()(ids, positions, mask), model.eval()(ids, positions, mask))

# What Megatron looks for when it adds the gradients of ranks that each have a part of the sequence.
config.sequence_parallel = True
norm = norms[0].__class__(config, 32)
assert all(p.sequence_parallel for p in (norm.weight, norm.alpha, norm.beta))
config.sequence_parallel, config.layernorm_zero_centered_gamma = False, True
assert norms[0].__class__(config, 32).weight.abs().max() == 0
