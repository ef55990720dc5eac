"""The lab's Muon against torch.optim.Muon.

usage: muon_parity_test.py TOOL
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

try:
    import torch
    from safetensors.torch import load_file, save_file
    from torch.optim import Muon
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

TOOL = ""
LR, WEIGHT_DECAY, STEPS = 0.02, 0.1, 4
SHAPES = (48, 130), (130, 48), (64, 64), (1, 7)


def by_torch(start, gradients):
    param = torch.nn.Parameter(start.clone())
    optimizer = Muon([param], lr=LR, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        param.grad = gradient.clone()
        optimizer.step()
    return param.detach(), optimizer.state[param]["momentum_buffer"]


def by_the_lab(start, gradients, *mode):
    with tempfile.TemporaryDirectory() as folder:
        given, got = pathlib.Path(folder) / "in.safetensors", pathlib.Path(folder) / "out.safetensors"
        save_file({"param": start, **{f"gradient.{i}": g for i, g in enumerate(gradients)}}, given)
        subprocess.run([TOOL, given, got, str(LR), str(WEIGHT_DECAY), *mode], check=True)
        tensors = load_file(got)
    return tensors["param"], tensors["momentum"]


class Parity(unittest.TestCase):
    def compare(self, bound, *mode):
        for shape in SHAPES:
            with self.subTest(shape):
                torch.manual_seed(1)
                start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(STEPS)]
                (want, want_momentum), (got, got_momentum) = by_torch(start, gradients), by_the_lab(start, gradients, *mode)
                error, moved = (got - want).norm().item(), (want - start).norm().item()
                self.assertTrue(error <= bound * moved, f"{error} of {moved}")
                self.assertTrue((got_momentum - want_momentum).norm() <= 1e-6 * want_momentum.norm())

    def test_in_float32(self):
        # An error of the first product, 1e-7 sqrt(130), grows by at most 3.4445 in each of five iterations.
        with mock.patch.object(torch.Tensor, "bfloat16", lambda t: t.float().clone()):
            self.compare(5e-4)

    def test_in_bfloat16_as_on_gpus(self):
        # The same products in the same dtype; a sum that rounds the other way is off by 2^-8, which the iterations enlarge.
        self.compare(0.1, "plain")


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
