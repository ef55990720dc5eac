"""A transformer of OLMo-core in two processes: gradients under its FSDP2 and its tensor and sequence parallelism."""

from olmo_core_model import config, ids, make
from processes import leave

import seednorm
import torch
import torch.distributed as dist
from seednorm.integrations.olmo_core import use_seed_norm
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

dist.init_process_group("gloo")
rank = dist.get_rank()
labels = ids.roll(-1, 1)


def start():
    model = make(use_seed_norm(config(), num_heads=2))
    torch.manual_seed(1)
    for norm in model.modules():
        if isinstance(norm, seednorm.SeeDNorm):
            torch.nn.init.normal_(norm.beta, std=0.3)
            torch.nn.init.normal_(norm.alpha, std=0.5)
    return model


def whole(value):
    return value.full_tensor() if isinstance(value, DTensor) else value


def check(model, part, shape, what):
    seen = []
    model.blocks["0"].feed_forward_norm.register_forward_hook(
        lambda m, args, y: seen.append((y.to_local() if isinstance(y, DTensor) else y).shape)
    )
    torch.nn.functional.cross_entropy(whole(model(ids[part])).flatten(0, 1), labels[part].flatten()).backward()
    assert seen == [shape], (what, seen)
    for name, p in model.named_parameters():
        error = (whole(p.grad) - gradients[name]).abs().max()
        assert error <= 1e-5 * gradients[name].abs().max(), (what, name, error)


one = start()
torch.nn.functional.cross_entropy(one(ids).flatten(0, 1), labels.flatten()).backward()
gradients = {name: p.grad for name, p in one.named_parameters()}

model = start()
model.apply_fsdp(init_device_mesh("cpu", (2,)))
check(model, slice(rank, rank + 1), (1, 8, 32), "data")

model = start()
model.apply_tp(init_device_mesh("cpu", (2,), mesh_dim_names=("tp",)))
check(model, slice(None), (2, 4, 32), "tensor and sequence")
leave()
