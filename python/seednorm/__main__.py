"""What is installed, and whether it computes what it should: python -m seednorm

Exits with 1 if a layer's result or gradients are not those of its formula.
"""

import platform
import sys

import torch
from torch import Tensor

from . import _library, reference
from ._ops import run
from ._schema import FORWARD, NORMS

DIM = 200  # no multiple of a vector's length


def main() -> int:
    import argparse

    argparse.ArgumentParser(prog="python -m seednorm", description=__doc__.split("\n\n")[0]).parse_args()
    print(f"seednorm   {_library.version()}, {_library.path().parent}")
    print(f"kernels    CPU, {_library.simd_target()}, {torch.get_num_threads()} threads of PyTorch's")
    print(f"torch      {torch.__version__} ({'.'.join(map(str, _library.OLDEST_TORCH))} or later is needed)")
    print(f"python     {platform.python_version()}, {platform.platform()}")
    failed = []
    for name in NORMS:
        worst = max(check(name, dtype) for dtype in (torch.float32, torch.bfloat16))
        print(f"check      {name:14} {'ok' if worst <= 1 else 'FAILED'}, error {worst:.2f} of what is allowed")
        if not worst <= 1:
            failed.append(name)
    if failed:
        print(f"python -m seednorm: wrong results of {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def check(name: str, dtype: torch.dtype) -> float:
    """Largest error of y and the gradients beside the formula in float64, as a part of what is allowed."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype).requires_grad_()

    shapes = {"vector": (DIM,), "scalar": (1,), "per_sample": (3, DIM)}
    x, dy = draw(3, 5, DIM), draw(3, 5, DIM).detach()
    kinds = _library.params_of(name, DIM)
    params = [draw(*shapes[kinds[param].kind]) for param in NORMS[name].params]
    wide = [t.detach().double().requires_grad_() for t in (x, *params)]

    arguments = NORMS[name].operator(FORWARD).by_name((x, *params))
    y = run(NORMS[name], FORWARD, **arguments)[0]
    exact = getattr(reference, name)(*wide)
    got = [y, *torch.autograd.grad(y, [x, *params], dy)]
    expected = [exact, *torch.autograd.grad(exact, wide, dy.double())]
    # One rounding at the store; sums of at most 15 D float32 products, far from all errors of one sign.
    worst = 0.0
    for a, b in zip(got, expected, strict=True):
        allowed = torch.finfo(dtype).eps * b.abs() + 1e-5 * (b.abs().max() + 1)
        ratio = ((a.double() - b).abs() / allowed).max().item()
        worst = ratio if not ratio <= worst else worst  # NaN stays
    return worst


if __name__ == "__main__":
    sys.exit(main())
