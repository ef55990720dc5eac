"""A GPT of Megatron-core in two processes: gradients under data, tensor and sequence parallelism."""

from megatron_model import OnCpu, config_of, ids, make, mask, plain_layer, positions
from processes import leave

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from seednorm.integrations.megatron import SeeDNorm, block_spec


def start(**options):
    config = config_of(**options)
    model = make(config, block_spec(config, plain_layer, num_heads=2))
    torch.manual_seed(1)
    for norm in model.modules():
        if isinstance(norm, SeeDNorm):
            torch.nn.init.normal_(norm.beta, std=0.3)
            torch.nn.init.normal_(norm.alpha, std=0.5)
    return config, model


def gradients(config, model, part=slice(None)):
    """Those of the mean loss after Megatron has added up what belongs together."""
    wrapped = DistributedDataParallel(config, DistributedDataParallelConfig(), model)
    wrapped.zero_grad_buffer()
    wrapped(ids[part], positions[part], mask, labels=ids[part]).mean().backward()
    finalize_model_grads([wrapped])
    return {name: p.main_grad.clone() for name, p in model.named_parameters()}


def part_of(whole, p, rank):
    """The part of a whole parameter that the rank has as p."""
    if not getattr(p, "tensor_model_parallel", False):
        return whole
    return whole.chunk(2, p.partition_dim)[rank]


dist.init_process_group("gloo")
rank = dist.get_rank()
with OnCpu():
    parallel_state.initialize_model_parallel(1)
    config, one = start()
    wanted = gradients(config, one)
    config, again = start()
    for name, grad in gradients(config, again, slice(rank, rank + 1)).items():
        error = (grad - wanted[name]).abs().max()
        assert error <= 1e-5 * wanted[name].abs().max(), ("data", name, error)
    parallel_state.destroy_model_parallel()

    parallel_state.initialize_model_parallel(2)
    weights = dict(one.named_parameters())
    for sequence in (True, False):
        config, two = start(tensor_model_parallel_size=2, sequence_parallel=sequence)
        with torch.no_grad():
            for name, p in two.named_parameters():
                p.copy_(part_of(weights[name], p, rank))
        seen = []
        two.decoder.layers[0].input_layernorm.register_forward_hook(lambda m, args, y, seen=seen: seen.append(y.shape))
        found = gradients(config, two)
        assert seen == [(4 if sequence else 8, 2, 32)], seen  # half of the sequence, or all of it
        for name, p in two.named_parameters():
            error = (found[name] - part_of(wanted[name], p, rank)).abs().max()
            assert error <= 1e-5 * wanted[name].abs().max(), (f"tensor, sequence_parallel={sequence}", name, error)
leave()
