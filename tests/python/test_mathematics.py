"""Every statement of docs/mathematics.md that holds; test_errata.py has those that do not. paper.py has the formulas.

Jacobians are compared with PyTorch's automatic derivatives of Eq. 4 and 7, and with the gradients of our operators.
"""

import math
import pathlib
import re

import paper
import pytest
import seednorm
import seednorm.functional as F
import torch
from paper import U
from torch.func import jacrev

DIM = 12
HEADS = [1, 2, 3, 6]
EPS = 1e-300  # our layers need an eps; a mean square of order 1 plus this one is the same number


def draw(seed=0, dim=DIM):
    """x, alpha, beta, gamma [dim] between -1 and 1, and gamma about 1."""
    g = torch.Generator().manual_seed(seed)
    x, alpha, beta, gamma = (2 * torch.rand(4, dim, generator=g, dtype=torch.float64) - 1).unbind()
    return x, alpha, beta, 1 + gamma / 2


def rounding(x, alpha, beta, gamma):
    """A bound on the difference between two evaluations of y or of one of its Jacobians in float64.

    An entry is the sum of at most three products of at most seven factors, each at most `largest` together. A factor has
    DIM + 4 roundings at most: the sum of x . beta or of the mean square, a root, a quotient, sigma. An error of x . beta
    is relative to the sum of |x beta|, and passes through sigma and sigma', whose slopes are at most 1. The two
    evaluations err separately.
    """
    r = (x / paper.rms(x)).abs().max()
    largest = r * (alpha.abs() + gamma.abs() + 1).max() * (1 + (x * beta).abs().sum())
    largest = largest * max(1, x.abs().max(), beta.abs().max()) * max(1, r / paper.rms(x), 1 / paper.rms(x))
    return 2 * 3 * 7 * (x.numel() + 4) * U * largest


def assert_close(actual, expected, bound):
    assert actual.shape == expected.shape
    error = (actual - expected).abs().max()
    assert error <= bound, f"error {error:.3e}, bound {bound:.3e}"


def operator(x, alpha, beta, gamma, num_heads=1):
    return F.seed_norm(x, gamma, alpha, beta, num_heads=num_heads, eps=EPS)


def norm(jacobian):
    return torch.linalg.matrix_norm(jacobian)


@pytest.mark.parametrize("num_heads", HEADS)
def test_eq_4_and_7_are_the_layer(num_heads):
    x, alpha, beta, gamma = draw()
    y = paper.seed_norm(x, alpha, beta, gamma, num_heads)
    bound = rounding(x, alpha, beta, gamma)
    assert_close(operator(x, alpha, beta, gamma, num_heads), y, bound)
    assert_close(seednorm.reference.seed_norm(x, gamma, alpha, beta, num_heads, EPS), y, bound)
    # tanh is within [-1, 1]: the gain is gamma give or take alpha.
    assert bool(((y - gamma * x / paper.rms(x)).abs() <= (alpha * x / paper.rms(x)).abs() + bound).all())


def test_eq_4_with_beta_zero_is_rms_norm():
    x, alpha, beta, gamma = draw()
    for dtype in (torch.float64, torch.float32):
        row, zero = x.to(dtype), torch.zeros(DIM, dtype=dtype)
        y = F.seed_norm(row, gamma.to(dtype), alpha.to(dtype), zero)
        assert torch.equal(y, F.rms_norm(row, gamma.to(dtype)))
    plain = paper.seed_norm(x, alpha, 0 * beta, gamma)
    assert torch.equal(plain, gamma * (x / paper.rms(x)))


def test_eq_8_is_the_adaptive_layer():
    x, alpha, beta, gamma_c = draw()
    eta_c = draw(1)[0]
    expected = paper.ada_seed_norm(x, alpha, beta, gamma_c, eta_c)
    y = F.ada_seed_norm(x[None], alpha, beta, gamma_c[None], eta_c[None], eps=EPS)[0]
    # Eq. 4 with gamma = 1, then a product and a sum that can lose no more than their own size.
    bound = rounding(x, alpha, beta, torch.ones(DIM)) * (1 + gamma_c.abs().max()) + 4 * U * (1 + expected.abs().max())
    assert_close(y, expected, bound)
    # Without a condition it is SeeDNorm with gamma = 1.
    zeros = torch.zeros(DIM, dtype=torch.float64)
    plain = paper.seed_norm(x, alpha, beta, torch.ones(DIM, dtype=torch.float64))
    assert torch.equal(paper.ada_seed_norm(x, alpha, beta, zeros, zeros), plain)


@pytest.mark.parametrize("k", [2.0**-40, 0.125, 8.0, 2.0**40])
def test_eq_5_scaling_changes_the_coefficient_only(k):
    x, alpha, beta, gamma = draw()
    # A power of two changes exponents alone, so that the equation holds to the bit.
    assert torch.equal(k * x / paper.rms(k * x), x / paper.rms(x))
    right = (torch.tanh((k * x * beta).sum()) * alpha + gamma) * (x / paper.rms(x))
    assert torch.equal(paper.seed_norm(k * x, alpha, beta, gamma), right)
    # tanh(k z) and tanh(z) have the same sign, so that they differ by less than 1.
    change = (paper.seed_norm(k * x, alpha, beta, gamma) - paper.seed_norm(x, alpha, beta, gamma)).abs()
    assert bool((change <= (alpha * x / paper.rms(x)).abs()).all())


def test_eq_5_gain_and_its_slope():
    x, alpha, beta, gamma = draw()
    z = (x * beta).sum()

    def f(x):
        return paper.rescale(x, beta) * alpha + gamma

    outer = paper.row(alpha).T @ paper.row(beta)
    bound = rounding(x, alpha, beta, gamma)
    assert_close(jacrev(f)(x), outer / torch.cosh(z) ** 2, bound)
    # The largest slope, alpha^T beta, is that at x = 0.
    assert torch.equal(jacrev(f)(0 * x), outer)
    assert bool((jacrev(f)(x).abs() <= outer.abs()).all())
    # |tanh(k z)| <= k |z|: near 0 the gain is gamma.
    for k in (1e-1, 1e-3, 1e-6):
        assert bool(((f(k * x) - gamma).abs() <= k * z.abs() * alpha.abs() + 4 * U * gamma).all())


@pytest.mark.parametrize("num_heads", HEADS)
def test_c_1_gradient_of_gamma(num_heads):
    x, alpha, beta, gamma = draw()
    expected = torch.diag(x / paper.rms(x))
    actual = jacrev(paper.seed_norm, 3)(x, alpha, beta, gamma, num_heads)
    assert_close(actual, expected, rounding(x, alpha, beta, gamma))
    # It does not depend on the scale of x.
    scaled = jacrev(paper.seed_norm, 3)(1024 * x, alpha, beta, gamma, num_heads)
    assert torch.equal(scaled, actual)


@pytest.mark.parametrize("num_heads", HEADS)
def test_c_2_gradient_of_alpha(num_heads):
    x, alpha, beta, gamma = draw()
    actual = jacrev(paper.seed_norm, 1)(x, alpha, beta, gamma, num_heads)
    assert_close(actual, paper.jacobian_alpha(x, beta, num_heads), rounding(x, alpha, beta, gamma))
    for k in (1e-6, 1.0, 1e6):
        jacobian = jacrev(paper.seed_norm, 1)(k * x, alpha, beta, gamma, num_heads)
        # |sigma| <= 1, and no element of x / RMS(x) is above sqrt(D); near 0, sigma(k z) <= k |z|.
        limit = math.sqrt(DIM) * min(1, k * (x * beta).abs().sum().item())
        assert jacobian.abs().max() <= limit * (1 + 2 * DIM * U)


def test_c_3_gradient_of_beta():
    x, alpha, beta, gamma = draw()
    actual = jacrev(paper.seed_norm, 2)(x, alpha, beta, gamma)
    assert_close(actual, paper.jacobian_beta(x, alpha, beta), rounding(x, alpha, beta, gamma))
    for k in (1.0, 1e-3, 1e-6):
        jacobian = jacrev(paper.seed_norm, 2)(k * x, alpha, beta, gamma)
        limit = k * (alpha * x / paper.rms(x)).abs().max() * x.abs().max()
        assert jacobian.abs().max() <= limit * (1 + 2 * DIM * U)


@pytest.mark.parametrize("num_heads", HEADS)
def test_c_3_gradient_of_beta_in_heads(num_heads):
    x, alpha, beta, gamma = draw()
    actual = jacrev(paper.seed_norm, 2)(x, alpha, beta, gamma, num_heads)
    expected = paper.same_head(DIM, num_heads) * paper.jacobian_beta_printed(x, alpha, beta, num_heads)
    assert_close(actual, expected, rounding(x, alpha, beta, gamma))


def test_c_4_gradient_of_x():
    x, alpha, beta, gamma = draw()
    actual = jacrev(paper.seed_norm)(x, alpha, beta, gamma)
    assert_close(actual, paper.jacobian_x(x, alpha, beta, gamma), rounding(x, alpha, beta, gamma))
    # Eq. 6 divides by RMS before and by RMS^2 within the brackets.
    s, ones = paper.rescale(x, beta) * alpha, torch.ones(1, DIM, dtype=torch.float64)
    inner = paper.row(s + gamma).T @ ones / (DIM * paper.rms(x) ** 2) * (paper.row(x).T @ paper.row(x))
    first = paper.jacobian_x(x, alpha, beta, gamma) - paper.last_two_terms(x, s, gamma)
    assert_close(first + (torch.diag(s + gamma) - inner) / paper.rms(x), actual, rounding(x, alpha, beta, gamma))


@pytest.mark.parametrize("num_heads", HEADS)
def test_c_4_gradient_of_x_in_heads(num_heads):
    x, alpha, beta, gamma = draw()
    actual = jacrev(paper.seed_norm)(x, alpha, beta, gamma, num_heads)
    first = paper.row(alpha * x / paper.rms(x)).T @ paper.beta_rows(x, beta, num_heads, beta)
    s = paper.rescale(x, beta, num_heads) * alpha
    expected = paper.same_head(DIM, num_heads) * first + paper.last_two_terms(x, s, gamma)
    assert_close(actual, expected, rounding(x, alpha, beta, gamma))


@pytest.mark.parametrize("num_heads", HEADS)
def test_eq_17_the_operators_gradients_are_g_times_the_jacobians(num_heads):
    inputs = [t.requires_grad_() for t in draw()]
    g = draw(1)[0]
    y = operator(*inputs, num_heads)
    actual = torch.autograd.grad(y, inputs, g)
    x, alpha, beta, gamma = (t.detach() for t in inputs)
    jacobians = jacrev(paper.seed_norm, (0, 1, 2, 3))(x, alpha, beta, gamma, num_heads)
    # g . J sums DIM entries, each with the error of an entry and one more rounding for the product and the sum.
    bound = DIM * g.abs().max() * rounding(x, alpha, beta, gamma) * 2
    for gradient, jacobian in zip(actual, jacobians, strict=True):
        assert_close(gradient, g @ jacobian, bound)


def test_alpha_and_beta_must_not_both_start_at_zero():
    x, alpha, beta, gamma = draw()

    def gradients(alpha, beta):
        jacobians = jacrev(paper.seed_norm, (1, 2))(x, alpha, beta, gamma)
        return [norm(j).item() for j in jacobians]

    assert gradients(0 * alpha, 0 * beta) == [0, 0]
    by_alpha, by_beta = gradients(alpha, 0 * beta)
    assert by_alpha == 0 and by_beta > 0
    by_alpha, by_beta = gradients(0 * alpha, beta)
    assert by_alpha > 0 and by_beta == 0


@pytest.mark.parametrize("k", [2.0**-20, 0.25, 4.0, 2.0**20])
def test_eq_29_the_last_two_terms_at_k_x(k):
    x, alpha, beta, gamma = draw()
    s = torch.tanh(k * (x * beta).sum()) * alpha
    # A power of two changes exponents alone, so that the equation holds to the bit.
    assert torch.equal(paper.last_two_terms(k * x, s, gamma), paper.last_two_terms(x, s, gamma) / k)


def test_eq_29_large_and_small_k():
    x, alpha, beta, gamma = draw()
    z = (x * beta).sum()
    assert z.abs() > 0.1
    large = 1e4
    # 1 - |tanh(k z)| <= 2 exp(-2 k |z|), which is 0 in float64 here: what is left falls by exactly 1/k.
    limit = paper.last_two_terms(x, torch.sign(z) * alpha, gamma)
    jacobian = jacrev(paper.seed_norm)(large * x, alpha, beta, gamma)
    assert_close(large * jacobian, limit, rounding(x, alpha, beta, gamma))
    small = 1e-4
    jacobian = jacrev(paper.seed_norm)(small * x, alpha, beta, gamma)
    limit = paper.last_two_terms(x, 0 * alpha, gamma)
    # k J is that of RMSNorm but for sigma(k z) alpha and k times the first term, each at most k times these sizes.
    r = (x / paper.rms(x)).abs()
    first = (alpha.abs() * r).max() * beta.abs().max()
    last = z.abs() * alpha.abs().max() * (1 + r.max() ** 2 / DIM) / paper.rms(x)
    assert_close(small * jacobian, limit, small * (first + last) + rounding(x, alpha, beta, gamma))


@pytest.mark.parametrize("num_heads", HEADS)
def test_d_2_dot_scale(num_heads):
    inputs = x, alpha, beta, gamma = [t.requires_grad_() for t in draw()]
    scale, g = num_heads / DIM, draw(1)[0]
    y = F.seed_norm(x, gamma, alpha, beta, num_heads=num_heads, eps=EPS, dot_scale=scale)
    actual = torch.autograd.grad(y, inputs, g)
    small = beta.detach() * scale
    expected = jacrev(paper.seed_norm, (0, 1, 2, 3))(x, alpha, small, gamma, num_heads)
    bound = DIM * g.abs().max() * rounding(*(t.detach() for t in inputs)) * 2
    for gradient, jacobian, factor in zip(actual, expected, (1, 1, scale, 1), strict=True):
        assert_close(gradient, factor * (g @ jacobian), bound)


def simulate(kind, dim, num_rows, seed):
    """x and y [num_rows, dim] of independent components with mean 0 and variance 1."""
    g = torch.Generator().manual_seed(seed)
    if kind == "normal":
        return torch.randn(2, num_rows, dim, generator=g)
    both = torch.rand(2, num_rows, dim, generator=g) - 0.5
    return math.sqrt(12) * both if kind == "uniform" else torch.sign(both)


def interval(values):
    """The 99.99% confidence interval of the mean, by the normal distribution."""
    values = values.double()
    half = 3.89 * values.std() / math.sqrt(values.numel())
    return (values.mean() - half).item(), (values.mean() + half).item()


def assert_within(value, bounds):
    assert bounds[0] <= value <= bounds[1], f"{value} is not in {bounds}"


ROWS = 20_000


@pytest.mark.parametrize("kind", ["normal", "uniform", "sign"])
@pytest.mark.parametrize("dim", [4, 32, 256])
def test_theorem_3_2_the_variance_grows_with_the_dimension(kind, dim):
    x, y = simulate(kind, dim, ROWS, seed=dim)
    bounds = interval((x * y).sum(-1).square())
    assert_within(dim, bounds)
    # The interval is narrow enough to exclude a variance that is 10% off.
    assert 0.9 * dim < bounds[0] and bounds[1] < 1.1 * dim
    # Heads: D / H components give D / H of the variance.
    for num_heads in (2, 4):
        each = (x * y).unflatten(-1, (num_heads, dim // num_heads)).sum(-1)
        assert_within(dim / num_heads, interval(each[:, 0].square()))


def test_theorem_3_2_needs_independent_components():
    x, y = simulate("normal", 1, ROWS, seed=0)
    dim = 32
    squares = (x.expand(-1, dim) * y.expand(-1, dim)).sum(-1).square()
    bounds = interval(squares)
    assert_within(dim**2, bounds)
    assert dim < bounds[0]


def test_theorem_3_2_for_a_given_beta():
    """Of one layer, beta is given: then the variance is sigma^2 |beta|^2, whatever the width."""
    for dim in (4, 32, 256):
        x, beta = simulate("normal", dim, ROWS, seed=dim + 1)
        beta = beta[0] / beta[0].norm()
        assert_within(1, interval((x * beta).sum(-1).square()))
        # A head's variance is its share of |beta|^2.
        assert_within(beta[: dim // 2].square().sum().item(), interval((x * beta)[:, : dim // 2].sum(-1).square()))


def test_section_2_gradient_and_range_of_dyt():
    x, alpha, beta, gamma = draw()
    for a in (0.01, 0.5, 40.0):
        expected = torch.diag(a * gamma / torch.cosh(a * x) ** 2)
        actual = jacrev(paper.dyt)(x, a, gamma, beta)
        # sech^2 as 1 - tanh^2 has tanh's error twice, |a x| <= 40 times over; both sides have five roundings more.
        assert_close(actual, expected, 2 * (2 * a + 5) * U * a * gamma.max())
        assert paper.dyt(a * x, a, torch.ones(DIM), 0.0).norm() <= math.sqrt(DIM) * (1 + DIM * U)
    assert norm(jacrev(paper.dyt)(100 * x, 40.0, gamma, beta)) < 1e-12
    assert norm(jacrev(paper.dyt)(x, 1e-9, gamma, beta)) < 1e-8


def test_eq_9_the_gradient_of_the_normalized_row():
    x, alpha, beta, gamma = draw()
    r = x / paper.rms(x)
    identity, length = torch.eye(DIM, dtype=torch.float64), x.norm()
    outer = paper.row(x).T @ paper.row(x)
    forms = [
        identity / paper.rms(x) - outer / (DIM * paper.rms(x) ** 3),
        math.sqrt(DIM) / length * (identity - outer / length**2),
        (identity - paper.row(math.sqrt(DIM) * x).T @ paper.row(math.sqrt(DIM) * x) / (DIM * length**2)) / paper.rms(x),
        (identity - paper.row(r).T @ paper.row(r) / DIM) / paper.rms(x),
    ]
    actual = jacrev(lambda x: x / paper.rms(x))(x)
    for form in forms:
        assert_close(form, actual, rounding(x, alpha, beta, gamma))
    # The component along x is lost.
    assert_close(actual @ x, 0 * x, DIM * rounding(x, alpha, beta, gamma))


@pytest.mark.parametrize("c", [0.3, 1.0, 7.0])
def test_proposition_b_1_dyt_solves_the_equation_of_one_element(c):
    """Eq. 14 solves Eq. 10: DyT with gamma = sqrt(D) and alpha = 1 / (c sqrt(D))."""
    root = math.sqrt(DIM)
    x = torch.linspace(-3 * c * root, 3 * c * root, 101, dtype=torch.float64)
    r = paper.dyt(x, 1 / (c * root), torch.full((101,), root, dtype=torch.float64), 0.0)
    left = jacrev(paper.dyt)(x, 1 / (c * root), torch.full((101,), root, dtype=torch.float64), 0.0).diagonal()
    # Both are 1/c less c's quotient of numbers up to 1, with ten roundings.
    assert_close(left, (1 - r**2 / DIM) / c, 10 * U / c)
    # The steps between: Eq. 12 and 13. tanh's rounding is amplified by up to exp(2 |x| / (c sqrt(D))) <= exp(6).
    exponent = 2 * x / (c * root)
    assert_close(torch.log((root + r) / (root - r)), exponent, 10 * U * math.exp(6))
    assert_close(root * (torch.exp(exponent) - 1) / (torch.exp(exponent) + 1), r, 10 * U * root * (1 + 6))


@pytest.mark.parametrize("dim", [16, 128, 1024])
def test_proposition_b_1_how_far_dyt_is_from_rms_norm(dim):
    """With c = RMS(x) and t = x / (c sqrt(D)): off by at most c |t|^3 sqrt(D) / 3, its slope by 2 t^4 / (3 c)."""
    x = simulate("normal", dim, 1, seed=dim)[0, 0].double()
    c, root = paper.rms(x), math.sqrt(dim)
    t = x / (c * root)
    dyt = paper.dyt(x, 1 / (c * root), torch.full((dim,), root, dtype=torch.float64), 0.0)
    assert bool(((x / c - dyt).abs() <= root * t.abs() ** 3 / 3 + 8 * U * root * t.abs()).all())
    slope = jacrev(paper.dyt)(x, 1 / (c * root), torch.full((dim,), root, dtype=torch.float64), 0.0).diagonal()
    exact = jacrev(lambda x: x / paper.rms(x))(x).diagonal()
    assert bool(((slope - exact).abs() <= (2 * t**4 / 3 + (dim + 20) * U) / c).all())


class Counted:
    """A number that counts the multiplications and additions it takes part in."""

    products = sums = 0

    def __init__(self, value=1.0):
        self.value = value

    def __mul__(self, other):
        Counted.products += 1
        return Counted(self.value * other.value)

    def __add__(self, other):
        Counted.sums += 1
        return Counted(self.value + other.value)


def extra_operations(dim):
    """Products and sums of Eq. 4 over those of Eq. 2 for one row, by counting; neither counts sigma, as F.1."""

    def count(f):
        Counted.products = Counted.sums = 0
        f()
        return Counted.products, Counted.sums

    x, alpha, beta, gamma = ([Counted() for _ in range(dim)] for _ in range(4))

    def rms_norm():  # of x / RMS(x), which both have in common
        return [g * v for g, v in zip(gamma, x, strict=True)]

    def seed_norm():
        products = [v * b for v, b in zip(x, beta, strict=True)]
        z = products[0]
        for product in products[1:]:
            z = z + product
        u = Counted(math.tanh(z.value))
        return [(u * a + g) * v for a, g, v in zip(alpha, gamma, x, strict=True)]

    (products, sums), (base_products, base_sums) = count(seed_norm), count(rms_norm)
    return products - base_products, sums - base_sums


def test_f_1_operations_of_a_row():
    for dim in (1, 64, 1024):
        products, sums = extra_operations(dim)
        assert products == 2 * dim
        assert sums == dim + dim - 1


# OLMoE-1.3B, OLMoE-7B and OLMo2-550M of Tables 6 and 8: N layers, D wide, H heads
MODELS = [(12, 1024, 16), (16, 2048, 16), (16, 1536, 16)]


@pytest.mark.parametrize("n, dim, num_heads", MODELS)
def test_f_1_operations_of_a_network(n, dim, num_heads):
    """The paper's sum, in which QueryNorm and KeyNorm are of one head each."""
    full, head = sum(extra_operations(dim)), sum(extra_operations(dim // num_heads))
    total = full * (2 * n + 1) + head * 2 * n
    assert total == (4 * dim - 1) * (2 * n + 1) + (4 * dim // num_heads - 1) * 2 * n
    assert total == (8 * n + 4) * dim + 8 * n * dim // num_heads - 4 * n - 1
    # With every head, it is still less than one linear layer's D^2 products and D (D - 1) sums.
    every = full * (2 * n + 1) + head * 2 * n * num_heads
    assert every < dim * dim + dim * (dim - 1)


@pytest.mark.parametrize("n, dim, num_heads", MODELS)
def test_f_1_parameters_of_a_network(n, dim, num_heads):
    def parameters(layer):
        return sum(parameter.numel() for parameter in layer.parameters())

    def extra(width):
        return parameters(seednorm.SeeDNorm(width)) - parameters(seednorm.RMSNorm(width))

    # The heads of a layer share the parameters of their norm.
    total = n * (2 * extra(dim) + 2 * extra(dim // num_heads)) + extra(dim)
    assert total == (4 * n + 2) * dim + 4 * n * dim // num_heads
    assert total < 0.1 * dim * dim


def test_every_statement_names_its_tests():
    """Each section of a statement ends with its tests; each exists, and none is left out."""
    folder = pathlib.Path(__file__).parent
    text = (folder.parents[1] / "docs" / "mathematics.md").read_text()
    named = set()
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        title, body = section.split("\n", 1)
        body = re.split(r"^## ", body, flags=re.MULTILINE)[0]
        links = re.findall(r"\[`(test_\w+)`\]\(\.\./tests/python/(\w+)\.py\)", body)
        assert links, f"'{title}' of docs/mathematics.md names no test"
        for name, module in links:
            source = (folder / f"{module}.py").read_text()
            assert f"\ndef {name}(" in source, f"'{title}' of docs/mathematics.md names {name}: {module}.py has none"
            named.add(name)
    sources = [(folder / f"{module}.py").read_text() for module in ("test_mathematics", "test_errata")]
    tests = {name for source in sources for name in re.findall(r"^def (test_\w+)\(", source, flags=re.MULTILINE)}
    left_out = tests - named - {"test_every_statement_names_its_tests"}
    assert not left_out, f"docs/mathematics.md has no statement for {sorted(left_out)}"
