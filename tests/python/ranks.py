"""Runs a program in two processes that form a group over Gloo."""

import os
import socket
import subprocess
import sys

BEGIN = """
import os, sys
import torch, torch.distributed as dist

dist.init_process_group("gloo")
rank = dist.get_rank()
"""

# On a busy machine PyTorch's threads of the process group abort a normal exit now and then.
END = """
dist.barrier()
print(f"rank {rank} ok", flush=True)
os._exit(0)
"""


def run(program, folder, timeout=240):
    """Fails with what a rank printed, unless both came to the end."""
    (folder / "worker.py").write_text(BEGIN + program + END)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tests = os.path.dirname(__file__)
    environment = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    workers = [
        subprocess.Popen([sys.executable, "worker.py"], cwd=folder, env={**environment, "RANK": str(rank)},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in range(2)
    ]  # fmt: skip
    try:
        outputs = [worker.communicate(timeout=timeout)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for rank, (worker, output) in enumerate(zip(workers, outputs, strict=True)):
        assert worker.returncode == 0 and f"rank {rank} ok" in output, output
