"""Llama 3 of torchtitan in two processes: gradients and checkpoints under its FSDP2, tensor and sequence parallelism.

torchtitan's trainer runs on GPUs only. This program calls the functions with which the trainer parallelizes a model.
"""

import shutil
import tempfile

from processes import leave
from steps import check_equal
from torchtitan_model import SEED_NORM, config_of, make, optimizer_of

import seednorm
import spmd_types as spmd
import torch
import torch.distributed as dist
import torchtitan.distributed.parallel_dims
from seednorm.integrations.torchtitan import SeeDNorm, decayed_group
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter, load, save
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torchtitan.components.loss import cross_entropy_loss
from torchtitan.config.configs import CompileConfig, ParallelismConfig, TrainingConfig
from torchtitan.distributed import ParallelDims, full_dtensor
from torchtitan.distributed import utils as distributed_utils
from torchtitan.distributed.spmd_types import annotate_input_spmd_types
from torchtitan.models.llama3.parallelize import parallelize_llama

torchtitan.distributed.parallel_dims.device_type = "cpu"
dist.init_process_group("gloo")
rank = dist.get_rank()
ids = torch.randint(0, 2048, (2, 16), generator=torch.Generator().manual_seed(1))
labels, positions = ids.roll(-1, 1), torch.arange(16).repeat(2, 1)


def start():
    model = make(config_of(SEED_NORM))
    torch.manual_seed(1)
    for norm in model.modules():
        if isinstance(norm, SeeDNorm):
            torch.nn.init.normal_(norm.beta, std=0.3)
            torch.nn.init.normal_(norm.alpha, std=0.5)
    return model


def whole(value):
    return value.full_tensor() if isinstance(value, DTensor) else value


def parallelized(parallelism, dims):
    """The model, and a function that computes its loss on this rank's part of the batch, as torchtitan's trainer does."""
    backend, dp = parallelism.spmd_backend, parallelism.data_parallel_shard_degree
    training = TrainingConfig(mixed_precision_param="float32", mixed_precision_reduce="float32")
    model = parallelize_llama(start(), parallel_dims=dims, training=training, parallelism=parallelism,
                              compile_config=CompileConfig(), ac_config=None, dump_folder="")  # fmt: skip
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)  # Gloo has no operation that scales and adds
    context = distributed_utils.get_spmd_context(parallel_dims=dims)

    def loss_of():
        part = slice(rank, rank + 1) if dp == 2 else slice(None)
        x, y, more = ids[part].clone(), labels[part].clone(), {"positions": positions[part].clone()}
        if backend == "full_dtensor":
            x, y, more = full_dtensor.parallelize_inputs(dims, x, y, more)
        elif backend == "spmd_types":
            x, y, more = annotate_input_spmd_types(dims, x, y, more)
        with context():
            loss = cross_entropy_loss(model(x, **more), y, global_vocab_size=2048) / ids.numel()
            loss.backward()
        total = whole(loss.detach()).clone()
        if dp == 2 and not isinstance(loss, DTensor):
            dist.all_reduce(total)
        return total

    return model, loss_of


one = start()
wanted = torch.nn.functional.cross_entropy(one(ids, positions).flatten(0, 1), labels.flatten())
wanted.backward()
gradients = {name: p.grad for name, p in one.named_parameters()}

for backend in ("partial_dtensor", "full_dtensor"):
    for dp, tp in ((2, 1), (1, 2)):
        what = f"{backend}, data {dp}, tensor {tp}"
        parallelism = ParallelismConfig(data_parallel_shard_degree=dp, tensor_parallel_degree=tp, spmd_backend=backend)
        dims = ParallelDims.from_config(parallelism, world_size=2)
        distributed_utils.set_spmd_backend(backend)
        model, loss_of = parallelized(parallelism, dims)
        seen = []
        hook = model.layers["0"].ffn_norm.register_forward_hook(
            lambda m, args, y, seen=seen: seen.append((y.to_local() if isinstance(y, DTensor) else y).shape)
        )
        loss = loss_of()
        hook.remove()
        assert (loss - wanted).abs() <= 1e-5 * wanted, (what, loss, wanted)
        assert seen == [(2 // dp, 16 // tp, 256)], (what, seen)  # the norm has a part of the batch or of the sequence
        for name, p in model.named_parameters():
            error = (whole(p.grad) - gradients[name]).abs().max()
            assert error <= 1e-5 * gradients[name].abs().max(), (what, name, error)

        optimizer = optimizer_of(model, decayed_group(dict(lr=1e-2, weight_decay=0.1)))
        seednorm.check_decay(optimizer, model)
        for _ in range(2):
            optimizer.step()
            optimizer.zero_grad()
            trained = loss_of()
        assert trained < loss, (what, trained, loss)

        folder = [tempfile.mkdtemp() if rank == 0 else None]
        dist.broadcast_object_list(folder)
        save(model.state_dict(), storage_writer=FileSystemWriter(folder[0]))
        back, loss_of_back = parallelized(parallelism, dims)
        state = back.state_dict()
        load(state, storage_reader=FileSystemReader(folder[0]))
        back.load_state_dict(state)
        check_equal(loss_of_back(), trained)
        dist.barrier()
        if rank == 0:
            shutil.rmtree(folder[0])

# The third backend, spmd_types, uses FSDP2 even without data parallelism. That of PyTorch 2.13 does not know its annotations;
# that of 2.14.1 refuses them ("got different mesh objects"). FSDP2 is left out here, and this program sums the gradients
# that it would sum.
parallelism = ParallelismConfig(data_parallel_shard_degree=1, tensor_parallel_degree=2, spmd_backend="spmd_types")
dims = ParallelDims.from_config(parallelism, world_size=2)
distributed_utils.set_spmd_backend("spmd_types")
for typechecking in (False, True):
    model = start()
    model.parallelize(dims)
    x, y, more = annotate_input_spmd_types(dims, ids.clone(), labels.clone(), {"positions": positions.clone()})
    with distributed_utils.get_spmd_context(parallel_dims=dims, spmd_typechecking=typechecking)():
        loss = cross_entropy_loss(model(x, **more), y, global_vocab_size=2048) / ids.numel()
        with spmd.no_typecheck():  # as the trainer does
            loss.backward()
    assert (loss - wanted).abs() <= 1e-5 * wanted, (loss, wanted)
    for norm in [name for name, m in model.named_modules() if isinstance(m, SeeDNorm)]:
        for name, p in model.get_submodule(norm).named_parameters():
            dist.all_reduce(p.grad)
            whole_grad = gradients[f"{norm}.{name}"]
            assert (p.grad - whole_grad).abs().max() <= 1e-5 * whole_grad.abs().max(), ("spmd_types", norm, name)
leave()
