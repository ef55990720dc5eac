"""seednorm.reference against the equations, written out again here in Python's floats, one number at a time."""

import itertools
import math

import pytest
import torch
from seednorm import reference

# (num_heads, sigma, dot_scale, gamma, alpha, beta): one-at-a-time changes of the plain layer, and some together
FORMS = [
    (1, "tanh", 1.0, "vector", "vector", "vector"),
    (3, "tanh", 1.0, "vector", "vector", "vector"),
    (4, "tanh", 0.25, "plus_one", "scalar", "vector"),
    (1, "tanh", 1.0, "none", "vector", "vector"),
    (1, "tanh", 1.0, "vector", "none", "vector"),
    (1, "tanh", 0.5, "vector", "vector", "elementwise"),
    (1, "tanh", 1.0, "vector", "scalar", "none"),
    *[(2, sigma, 1.0, "vector", "vector", "vector") for sigma in reference.SIGMAS if sigma != "tanh"],
]
DIM, EPS = 12, 1e-3  # an eps that shows


def sigma_value(name, z):
    sigmoid = 1 / (1 + math.exp(-z))
    return {
        "tanh": math.tanh(z),
        "sigmoid": sigmoid,
        "hardtanh": min(max(z, -1.0), 1.0),
        "softsign": z / (1 + abs(z)),
        "gelu": z * (1 + math.erf(z / math.sqrt(2))) / 2,
        "silu": z * sigmoid,
        "identity": z,
    }[name]


def row_coefficient(x, alpha, beta, heads, sigma, scale, beta_form):
    """sigma(x . beta^T) alpha of Eq. 7 and Table 3, for one row of floats."""
    d = len(x) // heads
    alphas = [1.0] * len(x) if alpha is None else alpha * len(x) if len(alpha) == 1 else alpha
    if beta is None:
        return [sum(sigma_value(sigma, scale * v) * a for v, a in zip(x, alphas, strict=True))] * len(x)
    if beta_form == "elementwise":
        return [sigma_value(sigma, scale * v * b) * a for v, b, a in zip(x, beta, alphas, strict=True)]
    dots = [sum(x[i] * beta[i] for i in range(h * d, (h + 1) * d)) for h in range(heads)]
    return [sigma_value(sigma, scale * dots[i // d]) * alphas[i] for i in range(len(x))]


def row_seed_norm(x, gamma, alpha, beta, heads, sigma, scale, gamma_form, beta_form):
    rms = math.sqrt(sum(v * v for v in x) / len(x) + EPS)
    coefficient = row_coefficient(x, alpha, beta, heads, sigma, scale, beta_form)
    gammas = [0.0] * len(x) if gamma is None else [g + (gamma_form == "plus_one") for g in gamma]
    return [(c + g) * v / rms for c, g, v in zip(coefficient, gammas, x, strict=True)]


def make(form, dtype=torch.float64, seed=0):
    """x [2, 3, DIM], gamma, alpha, beta in these forms, and the keyword arguments."""
    heads, sigma, scale, gamma, alpha, beta = form
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

    x, params = draw(2, 3, DIM), [draw(DIM), draw(1 if alpha == "scalar" else DIM), draw(DIM)]
    params = [None if kind == "none" else p for p, kind in zip(params, (gamma, alpha, beta), strict=True)]
    options = dict(
        num_heads=heads,
        eps=EPS,
        sigma=sigma,
        dot_scale=scale,
        gamma_form="plus_one" if gamma == "plus_one" else "vector",
        beta_form="elementwise" if beta == "elementwise" else "vector",
    )
    return x, params, options


def expected_seed_norm(x, params, options):
    lists = [None if p is None else p.double().tolist() for p in params]
    o = options
    rows = [
        row_seed_norm(row, *lists, o["num_heads"], o["sigma"], o["dot_scale"], o["gamma_form"], o["beta_form"])
        for row in x.double().reshape(-1, DIM).tolist()
    ]
    return torch.tensor(rows, dtype=torch.float64).reshape(x.shape)


def assert_close(actual, expected, bound):
    error = (actual.double() - expected).abs()
    assert bool((error <= bound).all()), f"error {error.max().item():.3e}, bound {bound}"


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_seed_norm_is_the_equation(form):
    x, params, options = make(form)
    expected = expected_seed_norm(x, params, options)
    # A few hundred roundings of 2^-53 of values around 10.
    assert_close(reference.seed_norm(x, *params, **options), expected, 1e-12)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_seed_norm_has_gradients_of_both_orders(form):
    x, params, options = make(form)
    inputs = [t.requires_grad_() for t in (x, *params) if t is not None]

    def f(x, *given):
        given = iter(given)
        return reference.seed_norm(x, *[None if p is None else next(given) for p in params], **options)

    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrow_data_is_summed_wide_and_rounded_once(dtype):
    x, params, options = make(FORMS[1])
    x, params = x.to(dtype), [p.float() for p in params]
    y = reference.seed_norm(x, *params, **options)
    assert y.dtype == dtype
    expected = expected_seed_norm(x, params, options)
    gamma, alpha, beta = (p.double().abs() for p in params)
    # Rounding at the end, and float32's errors: DIM + 8 roundings of u alpha + gamma, u's own being those of x . beta.
    gain = gamma + alpha * (1 + (x.double().abs() * beta).sum(-1, keepdim=True))
    normed = (x.double() / (x.double().square().mean(-1, keepdim=True) + EPS).sqrt()).abs()
    bound = torch.finfo(dtype).eps / 2 * expected.abs() + (DIM + 8) * 2.0**-24 * gain * normed
    assert_close(y, expected, bound)


def test_ada_seed_norm_is_equation_8():
    x, (_, alpha, beta), _ = make(FORMS[1])
    c, e = torch.randn(2, DIM, dtype=torch.float64), torch.randn(2, DIM, dtype=torch.float64)
    rows = []
    for sample in range(2):
        for row in x[sample].tolist():
            plain = row_seed_norm(row, [1.0] * DIM, alpha.tolist(), beta.tolist(), 3, "tanh", 1.0, "vector", "vector")
            modulated = zip(plain, c[sample].tolist(), e[sample].tolist(), strict=True)
            rows.append([p * (1 + gamma_c) + eta_c for p, gamma_c, eta_c in modulated])
    expected = torch.tensor(rows, dtype=torch.float64).reshape(x.shape)
    assert_close(reference.ada_seed_norm(x, alpha, beta, c, e, num_heads=3, eps=EPS), expected, 1e-12)
    same = reference.ada_seed_norm(x, alpha, beta, c[:, None], e[:, None], num_heads=3, eps=EPS)
    assert_close(same, expected, 1e-12)


def test_siblings_are_their_equations():
    x, (gamma, _, beta), _ = make(FORMS[0])
    slope, shift = torch.tensor([0.7], dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64)
    made = {name: [] for name in ("rms", "plus_one", "layer", "dyt", "derf", "dyisru", "lan", "gct", "scale")}
    for row in x.reshape(-1, DIM).tolist():
        columns = list(zip(row, gamma.tolist(), beta.tolist(), strict=True))
        mu = sum(row) / DIM
        rms = math.sqrt(sum(v * v for v in row) / DIM + EPS)
        deviation = math.sqrt(sum((v - mu) ** 2 for v in row) / DIM + EPS)
        made["rms"].append([g * v / rms for v, g, _ in columns])
        made["plus_one"].append([(1 + g) * v / rms for v, g, _ in columns])
        made["layer"].append([g * (v - mu) / deviation + b for v, g, b in columns])
        made["dyt"].append([g * math.tanh(0.7 * v) + b for v, g, b in columns])
        made["derf"].append([g * math.erf(0.7 * v + 0.2) + b for v, g, b in columns])
        made["dyisru"].append([g * v / math.sqrt(v * v + 0.7**-2) + b for v, g, b in columns])
        made["lan"].append([g * (v - b) / math.sqrt(max(g, 0) + EPS) + b for v, g, b in columns])
        length = math.sqrt(sum((g * v) ** 2 for v, g, _ in columns) / DIM + EPS)
        made["gct"].append([v * (1 + math.tanh(b * g * abs(v) / length + g)) for v, g, b in columns])
        made["scale"].append([0.7 * v / math.sqrt(sum(w * w for w in row)) for v in row])
    actual = {
        "rms": reference.rms_norm(x, gamma, EPS),
        "plus_one": reference.rms_norm(x, gamma, EPS, gamma_form="plus_one"),
        "layer": reference.layer_norm(x, gamma, beta, EPS),
        "dyt": reference.dyt(x, gamma, beta, slope),
        "derf": reference.derf(x, gamma, beta, slope, shift),
        "dyisru": reference.dyisru(x, gamma, beta, slope),
        "lan": reference.lan(x, gamma, beta, gamma, beta, EPS),
        "gct": reference.gct(x, beta, gamma, gamma, EPS),
        "scale": reference.scale_norm(x, slope, EPS),
    }
    for name, rows in made.items():
        assert_close(actual[name], torch.tensor(rows, dtype=torch.float64).reshape(x.shape), 1e-12)
    groups = torch.nn.functional.group_norm(x.reshape(-1, DIM), 4, gamma, beta, EPS).reshape(x.shape)
    assert_close(reference.group_layer_norm(x, gamma, beta, 4, EPS), groups, 1e-12)
    ones = torch.ones(DIM, dtype=torch.float64)
    assert torch.equal(reference.rms_norm(x), reference.rms_norm(x, ones))
    assert torch.equal(reference.layer_norm(x), reference.layer_norm(x, ones, 0 * ones))


def test_scale_norm_of_zeros_has_finite_gradients():
    x = torch.zeros(1, DIM, requires_grad=True)
    gain = torch.ones(1, requires_grad=True)
    reference.scale_norm(x, gain, 0.5).sum().backward()
    assert torch.equal(x.grad, torch.full((1, DIM), 2.0))  # g / eps


def test_beta_zero_is_rms_norm_bit_for_bit():
    x, (gamma, alpha, beta), _ = make(FORMS[0], torch.float32)
    y = reference.seed_norm(x, gamma, alpha, 0 * beta, eps=EPS)
    assert torch.equal(y, reference.rms_norm(x, gamma, EPS))


@pytest.mark.parametrize("z", [-1e30, -1e4, -104.0, -89.0, -44.5, 44.5, 89.0, 1e4, 1e30])
@pytest.mark.parametrize("sigma", ["tanh", "sigmoid", "hardtanh", "softsign"])
def test_saturation_is_the_limit_and_not_nan(sigma, z):
    u = reference.sigma_values(torch.ones(1, 2), torch.tensor([z, 0.0]), sigma=sigma)
    limit = max(z / abs(z), 0.0 if sigma == "sigmoid" else -1.0)
    assert_close(u, torch.full((1, 2), limit, dtype=torch.float64), 0.03)  # softsign at 44.5 is 0.978


def test_nan_and_inf_stay_in_their_row():
    x, params, options = make(FORMS[1], torch.float32)
    clean = reference.seed_norm(x, *params, **options)
    for value in (math.nan, math.inf):
        spoiled = x.clone()
        spoiled[1, 2, 3] = value
        y = reference.seed_norm(spoiled, *params, **options)
        assert y[1, 2, 3].isnan()
        y[1, 2], clean[1, 2] = 0, 0
        assert torch.equal(y, clean)


def test_autocast_changes_nothing():
    x, params, options = make(FORMS[1], torch.float32)
    expected = reference.seed_norm(x, *params, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(reference.seed_norm(x, *params, **options), expected)


def test_empty_batches():
    _, params, options = make(FORMS[1], torch.float32)
    assert reference.seed_norm(torch.empty(0, 5, DIM), *params, **options).shape == (0, 5, DIM)


def test_dropout_drops_the_coefficient_only():
    torch.manual_seed(0)
    x, (gamma, alpha, beta) = torch.randn(200, DIM), torch.ones(3, DIM)

    def run(p, training):
        return reference.seed_norm(x, gamma, alpha, beta, dropout=p, training=training)

    assert torch.equal(run(0.4, False), run(0.0, True))
    u = reference.sigma_values(x, beta)
    coefficient = reference.dynamic_coefficient(x, alpha, beta, dropout=0.4, training=True)
    dropped = coefficient == 0
    # 2,400 draws: standard deviation 0.01
    assert abs(dropped.double().mean().item() - 0.4) <= 0.05
    assert_close(coefficient[~dropped], (u / 0.6)[~dropped].double(), 1e-6)
    keep = torch.rand(200, DIM).round() * 2
    expected = ((u * keep + 1) * reference.rms_norm(x)).double()
    assert_close(reference.seed_norm(x, gamma, alpha, beta, keep=keep), expected, 1e-5)


# Known answers of Philox 4x32-10: Random123, kat_vectors
PHILOX = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("counter, key, words", PHILOX)
def test_philox_known_answers(counter, key, words):
    result = reference.philox(tuple(torch.tensor([word]) for word in counter), key)
    assert tuple(int(word) for word in result) == words


def test_dropout_keep_is_a_function_of_seed_offset_row_and_column():
    keep = reference.dropout_keep(1000, 100, 0.3, 7, 5)
    assert sorted(keep.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    # 100,000 draws: standard deviation 0.0015
    assert abs((keep == 0).double().mean().item() - 0.3) <= 0.008
    assert torch.equal(reference.dropout_keep(10, 70, 0.3, 7, 5), keep[:10, :70])
    for seed, offset in itertools.product((7, 7 + 2**32), (5, 5 + 2**32)):
        if (seed, offset) != (7, 5):
            assert not torch.equal(reference.dropout_keep(1000, 100, 0.3, seed, offset), keep)
    # Column 16 of row 0 is the second word of the counter of zeros, column 48 the fourth.
    bits = PHILOX[0][2]
    for column, word in zip((0, 16, 32, 48), bits, strict=True):
        above, below = (word + 1) / 2**32, (word - 1) / 2**32
        assert reference.dropout_keep(1, 64, above, 0, 0)[0, column] == 0
        assert reference.dropout_keep(1, 64, below, 0, 0)[0, column] > 0
