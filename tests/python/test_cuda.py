"""The operators on a GPU: as on the CPU within rounding, and bitwise what the core promises. Skipped without a GPU."""

import pytest
import torch
from layers import CASES, PLAIN
from seednorm import functional

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

BOTH = {torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3, torch.float64: 1e-12}


def to(device, values):
    return [v if v is None else v.detach().to(device).requires_grad_() for v in values]


def run(case, x, params):
    """y, dx and the gradients of the parameters."""
    given = [x, *(p for p in params if p is not None)]
    y = case.run(x, params)
    dy = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(y)
    return [y.detach(), *torch.autograd.grad(y, given, dy)]


def is_close(a, b, tolerance):
    scale = b.double().abs().max().clamp_min(1e-30)
    return bool((a.cpu().double() - b.double()).abs().max() <= tolerance * scale)


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_on_the_cpu(case, dtype):
    x, params = case.draw(dtype=dtype)
    expected = run(case, *(lambda all: (all[0], all[1:]))(to("cpu", [x, *params])))
    gpu = to("cuda", [x, *params])
    for actual, cpu in zip(run(case, gpu[0], gpu[1:]), expected, strict=True):
        assert is_close(actual, cpu, BOTH[dtype])


@pytest.mark.parametrize("cols", [1, 7, 64, 96, 128, 257, 1536, 4096, 8192, 8200, 16384, 16392, 65536])
@pytest.mark.parametrize("rows", [1, 17, 1000])
def test_shapes(rows, cols):
    x, dy = (torch.randn(rows, cols) for _ in range(2))
    params = [torch.randn(cols) for _ in range(2)] + [torch.randn(cols) / cols**0.5]
    results = []
    for device in ("cpu", "cuda"):
        leaves = to(device, [x, *params])
        y = functional.seed_norm(*leaves)
        results.append([y, *torch.autograd.grad(y, leaves, dy.to(device))])
    for cpu, gpu in zip(*results, strict=True):
        assert is_close(gpu.detach(), cpu.detach(), 2e-5)


def test_a_million_rows():
    x = torch.randn(1_000_000, 128, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    gamma = torch.ones(128, device="cuda", requires_grad=True)
    y = functional.rms_norm(x, gamma)
    (dgamma,) = torch.autograd.grad(y, gamma, torch.ones_like(y))
    expected = (x.double() * torch.rsqrt(x.double().square().mean(-1, keepdim=True) + 1e-6)).sum(0)
    # bfloat16 rounds nothing here but x: the sums are float32 over 3,788 rows at most, then float64.
    assert bool((dgamma.double() - expected).abs().max() <= 1e-3 * 1_000_000**0.5)


def test_more_than_two_to_the_31_elements():
    rows = 2**31 // 4096 + 3
    x = torch.empty(rows, 4096, device="cuda", dtype=torch.bfloat16).normal_()
    params = [torch.randn(4096, device="cuda") for _ in range(2)] + [torch.randn(4096, device="cuda") / 64]
    y = functional.seed_norm(x, *params)
    for part in (slice(0, 5), slice(rows - 5, rows)):
        assert torch.equal(y[part], functional.seed_norm(x[part], *params))


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_same_bits_again_and_in_slices(case):
    x, params = case.draw(dtype=torch.bfloat16)
    gpu = to("cuda", [x, *params])
    first, second = run(case, gpu[0], gpu[1:]), run(case, gpu[0], gpu[1:])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    if case.norm != "ada_seed_norm":
        assert torch.equal(case.run(gpu[0][1:3], gpu[1:]), first[0][1:3])


def test_every_size_of_dot_product():
    z = torch.cat([torch.linspace(-1e4, 1e4, 999), torch.tensor([-44.5, 44.5, -89.0, 89.0])]).cuda()
    x = torch.ones(len(z), 8, device="cuda")
    x[:, 0] = z
    beta = torch.zeros(8, device="cuda")
    beta[0] = 1
    ones = torch.ones(8, device="cuda")
    y = functional.seed_norm(x, ones, ones, beta)
    expected = (torch.tanh(z.double())[:, None] + 1) * x.double()
    expected *= torch.rsqrt(x.double().square().mean(-1, keepdim=True) + 1e-6)
    assert bool(torch.isfinite(y).all()) and bool((y.double() - expected).abs().max() <= 1e-5)


def test_odd_strides_and_addresses():
    whole = torch.randn(33, 3 * 1001 + 5, device="cuda", dtype=torch.float16)
    gamma = torch.randn(1001, device="cuda")
    for begin in (0, 1, 1001, 2003):
        part = whole[:, begin : begin + 1001]
        assert torch.equal(functional.rms_norm(part, gamma), functional.rms_norm(part.contiguous(), gamma))


def test_stream_and_graph():
    x = torch.randn(64, 1536, device="cuda")
    params = [torch.randn(1536, device="cuda") / 40 for _ in range(3)]
    expected = functional.seed_norm(x, *params)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = functional.seed_norm(x, *params)
    x.copy_(x.flip(0))
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(y, expected.flip(0))


def test_dropout_has_the_mask_of_the_cpu():
    x = torch.randn(20, 200)
    params = [torch.ones(200), torch.ones(200), torch.randn(200)]
    seed = torch.tensor([123456789, -5])
    op = torch.ops.seednorm.seed_norm
    cpu = op(x, *params, dropout=0.5, seed=seed)[0]
    gpu = op(x.cuda(), *(p.cuda() for p in params), dropout=0.5, seed=seed.cuda())[0]
    assert is_close(gpu, cpu, 2e-5)


def test_compile():
    x = torch.randn(64, 1536, device="cuda", requires_grad=True)
    params = [(torch.randn(1536, device="cuda") / 40).requires_grad_() for _ in range(3)]
    compiled = torch.compile(functional.seed_norm, fullgraph=True)
    assert torch.equal(compiled(x, *params), functional.seed_norm(x, *params))
    compiled(x, *params).sum().backward()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_another_device():
    x = torch.randn(4, 64, device="cuda:1")
    assert functional.rms_norm(x, None).device == x.device
    with pytest.raises((ValueError, RuntimeError), match="cuda:0"):
        functional.rms_norm(x, torch.ones(64, device="cuda:0"))
