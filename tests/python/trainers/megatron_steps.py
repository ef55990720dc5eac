"""A GPT of Megatron-core with SeeDNorm in its specs, its optimizer and its checkpoints."""

import os

from megatron_model import OnCpu, config_of, ids, make, mask, plain_layer, positions, settings
from processes import leave
from steps import check_equal, check_start, check_trained, check_undecayed

import seednorm
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.optimizer import get_megatron_optimizer
from seednorm.integrations.megatron import block_spec, config_overrides

os.environ.update(RANK="0", WORLD_SIZE="1")
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
parallel_state.initialize_model_parallel(1)
config = config_of()

with OnCpu():
    layer = get_gpt_layer_local_spec(normalization="RMSNorm", qk_layernorm=True)
    model = GPTModel(config, block_spec(config, layer, num_heads=2), vocab_size=64, max_sequence_length=8)
    norms = [m for m in model.modules() if isinstance(m, seednorm.SeeDNorm)]
    assert len(norms) == 2 * 4 + 1 and not [m for m in model.modules() if isinstance(m, torch.nn.RMSNorm)]
    check_start(model, make(config, plain_layer), lambda m: m(ids, positions, mask))

    wrapped = DistributedDataParallel(config, DistributedDataParallelConfig(), model)
    check_undecayed(get_megatron_optimizer(settings, [wrapped], use_gloo_process_groups=True), wrapped)
    overrides = config_overrides(settings, [wrapped])
    optimizer = get_megatron_optimizer(settings, [wrapped], config_overrides=overrides, use_gloo_process_groups=True)
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
    back = make(config, block_spec(config, layer, num_heads=2))
    back.load_state_dict(state)
    with torch.no_grad():
        check_equal(back.eval()(ids, positions, mask), model.eval()(ids, positions, mask))

# What Megatron looks for when it adds the gradients of ranks that each have a part of the sequence.
config.sequence_parallel = True
norm = norms[0].__class__(config, 32)
assert all(p.sequence_parallel for p in (norm.weight, norm.alpha, norm.beta))
config.sequence_parallel, config.layernorm_zero_centered_gamma = False, True
assert norms[0].__class__(config, 32).weight.abs().max() == 0
leave()
