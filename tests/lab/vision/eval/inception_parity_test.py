"""The FID of two sets of pictures against the same network and distance in plain PyTorch, on random weights.

usage: inception_parity_test.py PROGRAM
Ends with code 77, for skipped, where there is no PyTorch with numpy and safetensors.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    import safetensors.torch
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

PROGRAM = ""
torch.set_num_threads(1)

# name: (in, out, kernel), as torchvision's inception_v3 has them.
SHAPES = {"Conv2d_1a_3x3": (3, 32, (3, 3)), "Conv2d_2a_3x3": (32, 32, (3, 3)), "Conv2d_2b_3x3": (32, 64, (3, 3)),
          "Conv2d_3b_1x1": (64, 80, (1, 1)), "Conv2d_4a_3x3": (80, 192, (3, 3))}


def shapes_of_blocks():
    def add(block, **branches):
        SHAPES.update({f"{block}.{name}": shape for name, shape in branches.items()})

    for block, width, pool in ("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64):
        add(block, branch1x1=(width, 64, (1, 1)), branch5x5_1=(width, 48, (1, 1)), branch5x5_2=(48, 64, (5, 5)),
            branch3x3dbl_1=(width, 64, (1, 1)), branch3x3dbl_2=(64, 96, (3, 3)), branch3x3dbl_3=(96, 96, (3, 3)),
            branch_pool=(width, pool, (1, 1)))
    add("Mixed_6a", branch3x3=(288, 384, (3, 3)), branch3x3dbl_1=(288, 64, (1, 1)), branch3x3dbl_2=(64, 96, (3, 3)),
        branch3x3dbl_3=(96, 96, (3, 3)))
    for block, c in ("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192):
        add(block, branch1x1=(768, 192, (1, 1)), branch7x7_1=(768, c, (1, 1)), branch7x7_2=(c, c, (1, 7)),
            branch7x7_3=(c, 192, (7, 1)), branch7x7dbl_1=(768, c, (1, 1)), branch7x7dbl_2=(c, c, (7, 1)),
            branch7x7dbl_3=(c, c, (1, 7)), branch7x7dbl_4=(c, c, (7, 1)), branch7x7dbl_5=(c, 192, (1, 7)),
            branch_pool=(768, 192, (1, 1)))
    add("Mixed_7a", branch3x3_1=(768, 192, (1, 1)), branch3x3_2=(192, 320, (3, 3)), branch7x7x3_1=(768, 192, (1, 1)),
        branch7x7x3_2=(192, 192, (1, 7)), branch7x7x3_3=(192, 192, (7, 1)), branch7x7x3_4=(192, 192, (3, 3)))
    for block, width in ("Mixed_7b", 1280), ("Mixed_7c", 2048):
        add(block, branch1x1=(width, 320, (1, 1)), branch3x3_1=(width, 384, (1, 1)), branch3x3_2a=(384, 384, (1, 3)),
            branch3x3_2b=(384, 384, (3, 1)), branch3x3dbl_1=(width, 448, (1, 1)), branch3x3dbl_2=(448, 384, (3, 3)),
            branch3x3dbl_3a=(384, 384, (1, 3)), branch3x3dbl_3b=(384, 384, (3, 1)), branch_pool=(width, 192, (1, 1)))


shapes_of_blocks()


def random_weights():
    draw = torch.Generator().manual_seed(1)
    out = {}
    for name, (inputs, outputs, kernel) in SHAPES.items():
        fan = inputs * kernel[0] * kernel[1]
        out[f"{name}.conv.weight"] = torch.randn(outputs, inputs, *kernel, generator=draw) * (2 / fan) ** 0.5
        out[f"{name}.bn.weight"] = torch.rand(outputs, generator=draw) + 0.5
        out[f"{name}.bn.bias"] = torch.randn(outputs, generator=draw) * 0.2
        out[f"{name}.bn.running_mean"] = torch.randn(outputs, generator=draw) * 0.2
        out[f"{name}.bn.running_var"] = torch.rand(outputs, generator=draw) + 0.5
        out[f"{name}.bn.num_batches_tracked"] = torch.tensor(7)
    out["fc.weight"], out["fc.bias"] = torch.zeros(1008, 2048), torch.zeros(1008)
    return out


class Network:
    """pytorch-fid's, spelled out block by block."""

    def __init__(self, weights):
        self.weights = weights

    def conv(self, name, x, stride=1, padding=(0, 0)):
        w = {key: self.weights[f"{name}.{key}"] for key in
             ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")}
        x = F.conv2d(x, w["conv.weight"], stride=stride, padding=padding)
        scale = w["bn.weight"] / torch.sqrt(w["bn.running_var"] + 0.001)
        shift = w["bn.bias"] - w["bn.running_mean"] * scale
        return F.relu(x * scale[:, None, None] + shift[:, None, None])

    def a(self, n, x):
        five = self.conv(n + ".branch5x5_2", self.conv(n + ".branch5x5_1", x), padding=(2, 2))
        three = self.conv(n + ".branch3x3dbl_2", self.conv(n + ".branch3x3dbl_1", x), padding=(1, 1))
        three = self.conv(n + ".branch3x3dbl_3", three, padding=(1, 1))
        pool = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([self.conv(n + ".branch1x1", x), five, three, self.conv(n + ".branch_pool", pool)], 1)

    def b(self, n, x):
        three = self.conv(n + ".branch3x3dbl_2", self.conv(n + ".branch3x3dbl_1", x), padding=(1, 1))
        return torch.cat([self.conv(n + ".branch3x3", x, stride=2), self.conv(n + ".branch3x3dbl_3", three, stride=2),
                          F.max_pool2d(x, 3, stride=2)], 1)

    def c(self, n, x):
        seven = self.conv(n + ".branch7x7_2", self.conv(n + ".branch7x7_1", x), padding=(0, 3))
        seven = self.conv(n + ".branch7x7_3", seven, padding=(3, 0))
        twice = self.conv(n + ".branch7x7dbl_1", x)
        for i, padding in (2, (3, 0)), (3, (0, 3)), (4, (3, 0)), (5, (0, 3)):
            twice = self.conv(f"{n}.branch7x7dbl_{i}", twice, padding=padding)
        pool = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([self.conv(n + ".branch1x1", x), seven, twice, self.conv(n + ".branch_pool", pool)], 1)

    def d(self, n, x):
        three = self.conv(n + ".branch3x3_2", self.conv(n + ".branch3x3_1", x), stride=2)
        seven = self.conv(n + ".branch7x7x3_1", x)
        seven = self.conv(n + ".branch7x7x3_2", seven, padding=(0, 3))
        seven = self.conv(n + ".branch7x7x3_3", seven, padding=(3, 0))
        return torch.cat([three, self.conv(n + ".branch7x7x3_4", seven, stride=2), F.max_pool2d(x, 3, stride=2)], 1)

    def e(self, n, x, pool):
        three = self.conv(n + ".branch3x3_1", x)
        three = torch.cat([self.conv(n + ".branch3x3_2a", three, padding=(0, 1)),
                           self.conv(n + ".branch3x3_2b", three, padding=(1, 0))], 1)
        twice = self.conv(n + ".branch3x3dbl_2", self.conv(n + ".branch3x3dbl_1", x), padding=(1, 1))
        twice = torch.cat([self.conv(n + ".branch3x3dbl_3a", twice, padding=(0, 1)),
                           self.conv(n + ".branch3x3dbl_3b", twice, padding=(1, 0))], 1)
        return torch.cat([self.conv(n + ".branch1x1", x), three, twice, self.conv(n + ".branch_pool", pool)], 1)

    @torch.no_grad()
    def __call__(self, x):
        x = self.conv("Conv2d_2a_3x3", self.conv("Conv2d_1a_3x3", x, stride=2))
        x = F.max_pool2d(self.conv("Conv2d_2b_3x3", x, padding=(1, 1)), 3, stride=2)
        x = F.max_pool2d(self.conv("Conv2d_4a_3x3", self.conv("Conv2d_3b_1x1", x)), 3, stride=2)
        x = self.a("Mixed_5d", self.a("Mixed_5c", self.a("Mixed_5b", x)))
        x = self.b("Mixed_6a", x)
        for n in "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e":
            x = self.c(n, x)
        x = self.d("Mixed_7a", x)
        x = self.e("Mixed_7b", x, F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False))
        x = self.e("Mixed_7c", x, F.max_pool2d(x, 3, stride=1, padding=1))
        return x.mean((2, 3))


def scaled(pictures):
    """TensorFlow 1's ResizeBilinear without aligned corners, of [N, H, W, 3] uint8."""
    x = pictures.astype(np.float64)
    for axis in 1, 2:
        length = x.shape[axis]
        source = np.arange(299) * length / 299
        low = np.floor(source).astype(int)
        high = np.minimum(low + 1, length - 1)
        shape = [1] * 4
        shape[axis] = 299
        share = (source - low).reshape(shape)
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return torch.tensor((x - 128) / 128, dtype=torch.float32).permute(0, 3, 1, 2)


def distance(a, b):
    """By singular values of centred features, without covariances."""
    a, b = a.double().numpy(), b.double().numpy()
    ca, cb = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    trace = np.linalg.svd(ca @ cb.T, compute_uv=False).sum()
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + (ca ** 2).sum() + (cb ** 2).sum() - 2 * trace


class Inception(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_program(self, model, code=0):
        result = subprocess.run([PROGRAM, "eval", "--model", model, "--pairs", "a.npz", "b.npz", "--json", "fid.json",
                                 "--batch", "3"], cwd=self.folder, capture_output=True, text=True, timeout=900)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def test_is_the_network_of_2015(self):
        draw = np.random.default_rng(1)
        sets = [draw.integers(0, 256, (4, 41, 67, 3), dtype=np.uint8),
                (draw.integers(0, 256, (5, 320, 300, 3)) // 2).astype(np.uint8)]
        for name, pictures in zip("ab", sets):
            np.savez(self.folder / f"{name}.npz", pictures)
        weights = random_weights()
        self.assertEqual(len(weights), 94 * 6 + 2)
        self.assertEqual(sum(w.numel() for n, w in weights.items()
                             if "running" not in n and "num_batches" not in n and not n.startswith("fc.")), 21785568)
        safetensors.torch.save_file(weights, self.folder / "inception.safetensors")
        self.run_program("inception.safetensors")
        found = json.loads((self.folder / "fid.json").read_text())
        self.assertEqual((found["metric"], found["features"], found["images"]), ("fid", 2048, [4, 5]))
        network = Network(weights)
        expected = distance(*(network(scaled(pictures)) for pictures in sets))
        # Features agree to float32's rounding through 17 layers; the singular covariances' roots double its exponent.
        self.assertLess(abs(found["value"] - expected), 2e-4 * expected)

        weights["fc.weight"] = torch.zeros(1000, 2048)
        safetensors.torch.save_file(weights, self.folder / "torchvision.safetensors")
        self.assertIn("fc.weight has the shape [1000, 2048]", self.run_program("torchvision.safetensors", code=2))
        weights["fc.weight"] = torch.zeros(1008, 2048)
        weights["Mixed_6e.branch7x7_2.conv.weight"] = torch.zeros(192, 7, 1, 7)
        safetensors.torch.save_file(weights, self.folder / "torn.safetensors")
        self.assertIn("do not have the shapes", self.run_program("torn.safetensors", code=2))
        del weights["Mixed_7c.branch_pool.bn.bias"]
        weights["Mixed_6e.branch7x7_2.conv.weight"] = torch.zeros(192, 192, 1, 7)
        safetensors.torch.save_file(weights, self.folder / "short.safetensors")
        self.assertIn("has no tensor Mixed_7c.branch_pool.bn.bias", self.run_program("short.safetensors", code=2))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
