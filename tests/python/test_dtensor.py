"""DTensors over two real processes: every operator, tensor and sequence parallel models, meshes of two dimensions."""

import subprocess
import sys

import pytest
import ranks

OPERATORS = """
from layers import CASES, PLAIN
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

mesh = init_device_mesh("cpu", (2,))


def close(a, b, what):
    # Halves are summed apart, so that sums over rows round otherwise.
    error = (a - b).abs().max() if b.numel() else torch.zeros(())
    assert error <= 1e-12 * (1 + b.abs().max()), (what, error)


def check(case, placement, add):
    x, params = case.draw(torch.float64)
    residual = case.draw(torch.float64, seed=2)[0]
    given = [p for p in params if p is not None]
    run = lambda x, r, *p: case.run_added(x, r, p)[0] * case.run_added(x, r, p)[1] if add else case.run(x, p)
    y = run(x, residual, *params)
    dy = torch.randn_like(y)
    leaves = [x, *([residual] if add else []), *given]
    wanted = torch.autograd.grad(y, leaves, dy)

    def placed(t, how):
        return None if t is None else distribute_tensor(t.detach(), mesh, [how]).requires_grad_()

    dx, dresidual = placed(x, placement), placed(residual, placement)
    conditions = [i for i, name in enumerate(case.params) if name.endswith("_c")]
    dparams = [placed(p, Replicate()) for p in params]
    got = run(dx, dresidual, *dparams)
    rows = isinstance(placement, Shard) and placement.dim < x.ndim - 1 and x.shape[placement.dim] >= 2
    assert got.placements == ((placement,) if rows else (Replicate(),)), (str(case), placement, got.placements)
    close(got.full_tensor(), y, (str(case), placement))
    dleaves = [dx, *([dresidual] if add else []), *[p for p in dparams if p is not None]]
    grads = torch.autograd.grad(got, dleaves, distribute_tensor(dy, mesh, [placement]))
    for grad, want, leaf in zip(grads, wanted, dleaves):
        assert isinstance(grad, DTensor) and grad.shape == leaf.shape
        close(grad.full_tensor(), want, (str(case), placement))
    # One that is not spread over ranks is a partial sum as long as nobody asks for it.
    if rows and not conditions:
        assert all(grad.placements == (Partial(),) for grad in grads[1 + add :])


torch.manual_seed(0)
for case in CASES:
    every = [Replicate()] + [Shard(dim) for dim in range(len(case.x_shape))]
    for placement in every if case in PLAIN else every[-2:-1]:
        check(case, placement, add=False)
        if case.has_add and case in PLAIN:
            check(case, placement, add=True)

# Without gradients after with them, and the other way around: results are remembered by what was asked for.
import seednorm
for norm in (seednorm.RMSNorm(8), seednorm.DyT(8)):
    from torch.distributed.tensor import distribute_module
    distribute_module(norm, mesh)
    for grad in (False, True, False, True):
        with torch.set_grad_enabled(grad):
            y = norm(distribute_tensor(torch.randn(4, 6, 8), mesh, [Shard(1)]))
        if grad:
            y.sum().backward()

# Partial sums are reduced, not normalized one by one.
part = torch.randn(4, 8)
x = DTensor.from_local(part, mesh, [Partial()])
norm = seednorm.RMSNorm(8)
distribute_module(norm, mesh)
whole = part.clone()
dist.all_reduce(whole)
close(norm(x).full_tensor(), seednorm.functional.rms_norm(whole, torch.ones(8)), "partial")

layer = seednorm.SeeDNorm(8, dropout=0.5)
distribute_module(layer, mesh)
try:
    layer(distribute_tensor(torch.randn(4, 8), mesh, [Shard(0)]))
    raise AssertionError("dropout went through")
except ValueError as error:
    assert "[seed_norm] dropout: expected 0 for a DTensor" in str(error), error
layer.eval()(distribute_tensor(torch.randn(4, 8), mesh, [Shard(0)]))
"""

MODEL = """
import copy
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel, PrepareModuleInput, RowwiseParallel, SequenceParallel, parallelize_module,
)
import seednorm

D, HEADS = 32, 4


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.wq, self.wk, self.wv, self.wo = [nn.Linear(D, D, bias=False) for _ in range(4)]
        self.q_norm, self.k_norm = seednorm.SeeDNorm(D // HEADS), seednorm.RMSNorm(D // HEADS)

    def forward(self, x):
        q, k, v = [w(x).unflatten(-1, (-1, D // HEADS)) for w in (self.wq, self.wk, self.wv)]
        q, k, v = [t.transpose(1, 2) for t in (self.q_norm(q), self.k_norm(k), v)]
        return self.wo(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm, self.ffn_norm = seednorm.SeeDNorm(D, num_heads=2), seednorm.SeeDNorm(D)
        self.attention, self.up, self.down = Attention(), nn.Linear(D, 64), nn.Linear(64, D)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(F.silu(self.up(self.ffn_norm(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.norm, self.head = nn.Embedding(50, D), seednorm.LayerNorm(D), nn.Linear(D, 50)
        self.layers = nn.ModuleList([Block() for _ in range(2)])

    def forward(self, ids):
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def parallelized(model, mesh):
    # As torchtitan does it: the residual stream is sharded along the sequence, norms work on their part of it.
    parallelize_module(model, mesh, {
        "embedding": RowwiseParallel(input_layouts=Replicate(), output_layouts=Shard(1)),
        "norm": SequenceParallel(),
        "head": ColwiseParallel(input_layouts=Shard(1), output_layouts=Replicate()),
    })
    for layer in model.layers:
        parallelize_module(layer, mesh, {
            "attention_norm": SequenceParallel(),
            "ffn_norm": SequenceParallel(),
            "attention": PrepareModuleInput(input_layouts=(Shard(1),), desired_input_layouts=(Replicate(),)),
            "attention.wq": ColwiseParallel(use_local_output=False),
            "attention.wk": ColwiseParallel(use_local_output=False),
            "attention.wv": ColwiseParallel(use_local_output=False),
            "attention.q_norm": SequenceParallel(sequence_dim=2, use_local_output=True),
            "attention.k_norm": SequenceParallel(sequence_dim=2, use_local_output=True),
            "attention.wo": RowwiseParallel(output_layouts=Shard(1)),
            "up": ColwiseParallel(input_layouts=Shard(1)),
            "down": RowwiseParallel(output_layouts=Shard(1)),
        })
        # v has no norm that would take its part.
        layer.attention.wv.register_forward_hook(lambda module, args, y: y.to_local())
    return model


def trained(model, batches, reduce=None):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1, foreach=False)
    losses = []
    for ids in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(ids).flatten(0, 1), ids.roll(-1, 1).flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


torch.manual_seed(0)
model = Model().double()
for name, p in model.named_parameters():
    if name.endswith("beta"):
        nn.init.normal_(p, std=0.3)
batches = [torch.randint(0, 50, (4, 8)) for _ in range(3)]
one = copy.deepcopy(model)
losses = trained(one, batches)


def check(model, got, what, scale=1):
    for a, b in zip(got, losses):
        assert (a - b).abs() <= 1e-9 * scale, (what, got, losses)
    for (name, p), q in zip(model.named_parameters(), one.parameters()):
        full = p.full_tensor() if isinstance(p, DTensor) else p
        assert (full - q).abs().max() <= 1e-7 * scale, (what, name, (full - q).abs().max())
"""

SHAPES = {
    "tensor_and_sequence_parallel": """
sharded = parallelized(copy.deepcopy(model), init_device_mesh("cpu", (2,)))
seen = []
sharded.layers[0].ffn_norm.register_forward_hook(lambda m, args, y: seen.append((args[0].shape, y.placements)))
check(sharded, trained(sharded, batches), "tp")
assert seen[0] == (torch.Size([4, 8, D]), (Shard(1),)), seen
""",
    "compiled": """
sharded = parallelized(copy.deepcopy(model), init_device_mesh("cpu", (2,)))
sharded.compile(backend="aot_eager", fullgraph=True)
check(sharded, trained(sharded, batches), "compiled")
""",
    "two_dimensions": """
for shape in ((2, 1), (1, 2)):
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("dp", "tp"))
    sharded = parallelized(copy.deepcopy(model), mesh["tp"])
    for layer in sharded.layers:
        fully_shard(layer, mesh=mesh["dp"])
    fully_shard(sharded, mesh=mesh["dp"])
    part = [ids.chunk(shape[0])[rank if shape[0] == 2 else 0] for ids in batches]
    got = trained(sharded, part)
    if shape[0] == 2:
        for loss in got:  # of each half of the batch
            dist.all_reduce(loss)
            loss /= 2
    check(sharded, got, shape)
""",
}


def test_every_operator(tmp_path):
    ranks.run(OPERATORS, tmp_path)


@pytest.mark.parametrize("shape", SHAPES)
def test_models_equal_one_process(shape, tmp_path):
    ranks.run(MODEL + SHAPES[shape], tmp_path)


@pytest.mark.parametrize("first", ["seednorm", "torch.distributed.tensor"])
def test_either_import_may_come_first(first):
    other = {"seednorm": "torch.distributed.tensor", "torch.distributed.tensor": "seednorm"}[first]
    program = (
        f"import {first}, sys\n"
        "loaded = 'torch.distributed.tensor' in sys.modules\n"
        f"import {other}, torch, torch.distributed.tensor as dt\n"
        f"assert loaded == {first != 'seednorm'}, 'importing seednorm must not import DTensor'\n"
        "known = dt.DTensor._op_dispatcher.sharding_propagator.op_strategy_funcs\n"
        "assert torch.ops.seednorm.seed_norm_backward.default in known\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
