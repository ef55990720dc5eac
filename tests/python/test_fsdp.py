"""FSDP2 over two real processes: the sharded model computes what the whole one does."""

import ranks

WORKER = """
import copy
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
import seednorm

torch.manual_seed(0)
whole = torch.nn.Sequential(
    torch.nn.Linear(8, 12), seednorm.SeeDNorm(12, num_heads=3), seednorm.SeeDNorm(12, alpha_form="scalar"),
    seednorm.DyT(12), torch.nn.Linear(12, 2),
)
for param in whole.parameters():
    torch.nn.init.normal_(param, std=0.5)
sharded = copy.deepcopy(whole)
for layer in sharded[1:4]:
    fully_shard(layer)
fully_shard(sharded)
data = torch.randn(4, 5, 8)

for model, x in ((whole, data), (sharded, data[2 * rank : 2 * rank + 2])):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
for (name, a), b in zip(whole.named_parameters(), sharded.parameters()):
    full = b.full_tensor()
    assert full.shape == a.shape
    # The two halves of the batch are summed in another order.
    assert (a - full).abs().max() <= 1e-4 * (1 + a.abs().max()), (name, a, full)

mixed = copy.deepcopy(whole)
fully_shard(mixed, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32))
y = mixed(data)
assert y.dtype == torch.bfloat16
y.float().sum().backward()
assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in mixed.parameters())
"""


def test_two_processes(tmp_path):
    ranks.run(WORKER, tmp_path)
