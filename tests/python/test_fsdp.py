"""FSDP2 over two real processes: the sharded model computes what the whole one does."""

import os
import socket
import subprocess
import sys

WORKER = """
import copy, os
import torch, torch.distributed as dist
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
import seednorm

dist.init_process_group("gloo")
rank = dist.get_rank()
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
dist.destroy_process_group()
print(f"rank {rank} ok", flush=True)
os._exit(0)  # on a busy machine PyTorch's threads of the process group abort a normal exit now and then
"""


def test_two_processes(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    workers = [
        subprocess.Popen([sys.executable, "worker.py"], cwd=tmp_path, env={**environment, "RANK": str(rank)},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in range(2)
    ]  # fmt: skip
    try:
        outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for rank, (worker, output) in enumerate(zip(workers, outputs, strict=True)):
        assert worker.returncode == 0 and f"rank {rank} ok" in output, output
