"""One case for each form of each layer: its function, the formula it must follow, and parameters to try it with."""

import dataclasses
from dataclasses import dataclass, field

import torch
from seednorm import functional, reference
from seednorm._library import SIGMAS, norm_info, norm_names

DIM = 24


@dataclass
class Case:
    norm: str
    options: dict = field(default_factory=dict)
    absent: tuple = ()  # parameters given as None
    scalars: tuple = ()  # parameters of one element
    x_shape: tuple = (5, 4, DIM)
    c_shape: tuple = (5, DIM)  # of gamma(c) and eta(c)

    def __str__(self):
        options = [f"{k}={v}" for k, v in self.options.items()]
        return "-".join([self.norm, *options, *(f"no_{p}" for p in self.absent), *(f"one_{p}" for p in self.scalars)])

    @property
    def params(self):
        return [p.name for p in norm_info(self.norm).params]

    def draw(self, dtype=torch.float32, param_dtype=None, seed=0, **tensor_options):
        """x and the parameters, None where absent."""
        generator = torch.Generator().manual_seed(seed)

        def normal(shape, dtype):
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        x = normal(self.x_shape, dtype).requires_grad_()
        params = []
        for name in self.params:
            shape = (1,) if name in self.scalars else self.c_shape if name.endswith("_c") else (self.x_shape[-1],)
            value = None if name in self.absent else normal(shape, param_dtype or dtype).requires_grad_()
            params.append(value)
        return x, params

    def run(self, x, params):
        return getattr(functional, self.norm)(x, *params, **self.options)

    def run_added(self, x, residual, params):
        return getattr(functional, f"add_{self.norm}")(x, residual, *params, **self.options)

    def formula(self, x, params, **more):
        return getattr(reference, self.norm)(x, *params, **self.options, **more)

    @property
    def has_add(self):
        return norm_info(self.norm).residual_add


def plain_case(norm):
    return Case(norm, scalars=tuple(p.name for p in norm_info(norm).params if p.shape == "scalar"))


def cases_of_forms(norm):
    """A case for each form of each parameter, beside the plain one, as the norm's own description has them."""
    plain = plain_case(norm)
    for param in norm_info(norm).params:
        for form in param.forms:
            if form == "none":
                yield dataclasses.replace(plain, absent=(param.name,))
            elif form == "scalar":
                yield dataclasses.replace(plain, scalars=(*plain.scalars, param.name))
            elif form != "vector":
                yield dataclasses.replace(plain, options={f"{param.name}_form": form})


#: The plain form of each layer.
PLAIN = [plain_case(norm) for norm in norm_names()]

CASES = [
    *PLAIN,
    *[case for norm in norm_names() for case in cases_of_forms(norm)],
    Case("seed_norm", {"num_heads": 3}),
    Case("seed_norm", {"num_heads": 8, "dot_scale": 0.25, "eps": 1e-3}),
    *[Case("seed_norm", {"sigma": sigma}) for sigma in SIGMAS if sigma != "tanh"],
    Case("seed_norm", x_shape=(DIM,)),
    Case("ada_seed_norm", {"num_heads": 4}),
    Case("ada_seed_norm", c_shape=(5, 1, DIM)),
    Case("ada_seed_norm", c_shape=(5, 4, DIM)),
    Case("ada_seed_norm", x_shape=(5, 4, 3, DIM), c_shape=(5, 4, DIM)),  # c leads x's dimensions,
    Case("ada_seed_norm", x_shape=(4, 4, 4, DIM), c_shape=(4, 4, DIM)),  # also where it could end them
    Case("layer_norm", absent=("gamma", "beta")),
    Case("group_layer_norm", {"num_heads": 3}),
    Case("group_layer_norm", {"num_heads": 8, "eps": 1e-3}),
]

#: Largest relative error of rounding: half the distance from 1 to the next number.
ROUNDING = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}


def bound(exact, dtype, terms):
    """Largest error allowed beside `exact`, a float64 result stored in `dtype`.

    One rounding at the store, and sums in float32 (float64 for float64): a sum of n terms in any order errs by at most
    n roundings of the sum of their absolute values. For the values these tests draw (standard normal) such sums are
    below 8 times the largest result, and no result takes more than four sums one after another.
    """
    wide = ROUNDING[torch.float64 if dtype == torch.float64 else torch.float32]
    largest = exact.abs().max() if exact.numel() else exact.new_zeros(())
    return ROUNDING[dtype] * exact.abs() + 32 * terms * wide * (largest + 1)


def check_close(got, exact, terms):
    assert got.shape == exact.shape
    error = (got.double() - exact.double()).abs()
    limit = bound(exact.double(), got.dtype, terms)
    assert bool((error <= limit).all()), f"error {error.max():.3g}, allowed {limit.max():.3g}"
