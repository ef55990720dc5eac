"""Counter-examples to what the paper (arXiv 2510.22777v2) prints and does not hold; docs/mathematics.md explains them.

paper.py has the formulas as they are printed. The examples are small enough to follow by hand.
"""

import math

import paper
import pytest
import seednorm.functional as F
import torch
from paper import U
from torch.func import jacrev

# Two heads of two columns. RMS(x) = 1, so that x / RMS(x) = x; every product below has a few digits.
X = torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64)
ALPHA = torch.tensor([1.0, 0.5, 2.0, 1.0], dtype=torch.float64)
BETA = torch.tensor([0.5, 0.25, -0.5, 0.25], dtype=torch.float64)
GAMMA = torch.ones(4, dtype=torch.float64)
# Each entry has fewer than 50 roundings, and no intermediate value is above 4.
ROUNDING = 50 * U * 4


def difference(a, b):
    return (a - b).abs().max().item()


def off(printed, right):
    """How far the printed formula is off; NaN stays NaN."""
    assert printed.shape == right.shape
    return difference(printed, right)


def jacobian(argument, num_heads=1, x=X, alpha=ALPHA, beta=BETA):
    return jacrev(paper.seed_norm, argument)(x, alpha, beta, GAMMA, num_heads)


def test_algorithm_3_is_nan_for_large_negative_products():
    def printed(z):
        e = torch.exp(-2.0 * z)
        return (1.0 - e) / (1.0 + e)

    # exp(-2 z) overflows float32 above 2^128: z = -64 ln 2 = -44.36.
    z = torch.tensor([-44.3, -44.4, -100.0, -1e4, 44.4, 1e4])
    assert printed(z).isnan().tolist() == [False, True, True, True, False, False]
    assert printed(torch.tensor(-355.0, dtype=torch.float64)).isnan()
    for value in z.tolist():
        y = F.seed_norm(torch.ones(1, 4), torch.ones(4), torch.ones(4), torch.full((4,), value / 4))
        # Every z above is so large that tanh(z) is +1 or -1 in float32: y is 2 or 0, but for eps.
        assert difference(y, torch.full((1, 4), 1 + math.copysign(1, value))) <= 1e-5


def test_algorithm_3_loses_the_digits_of_small_products():
    for z in (1e-3, 1e-5, 1e-8):
        e = torch.exp(torch.tensor(-2 * z))
        printed = ((1 - e) / (1 + e)).item()
        # Numbers just below 1 are 2^-24 apart: exp is off by up to a unit of that, which the sum of about 2 halves.
        assert abs(printed - math.tanh(z)) <= 2.0**-24
    assert printed == 0.0  # of z = 1e-8, all digits are lost
    x, one = torch.full((1, 1), 1e-8), torch.ones(1)
    # tanh(1e-8) = 1e-8 to float32's last digits
    y = F.seed_norm(x, None, one, one, eps=1e-30)
    assert abs(y.item() - 1e-8) <= 4 * 2.0**-24 * 1e-8


def algorithm_2(x, alpha, beta, gamma, num_heads, join):
    """Algorithm 2 line by line; `join` is what becomes of dynamic_scale before gamma is added."""
    b, n, dim = x.shape
    h = x.reshape(b, n, num_heads, dim // num_heads).transpose(1, 2)
    beta = beta.reshape(1, num_heads, 1, dim // num_heads).repeat(b, 1, 1, 1).transpose(-1, -2)
    activate = torch.tanh(torch.matmul(h, beta))
    alpha = alpha.reshape(1, num_heads, 1, dim // num_heads).repeat(b, 1, 1, 1)
    dynamic_scale = join(activate * alpha)
    x = x / x.square().mean(-1, keepdim=True).sqrt()
    return (dynamic_scale + gamma) * x


def three_by_five():
    g = torch.Generator().manual_seed(0)
    return torch.randn(3, 5, 4, generator=g, dtype=torch.float64)


def test_algorithm_2_does_not_broadcast():
    x = three_by_five()
    with pytest.raises(RuntimeError, match="must match"):
        algorithm_2(x, ALPHA, BETA, GAMMA, 2, lambda scale: scale)
    # With one head it runs, and returns every row of the batch once for each row of the batch.
    assert algorithm_2(x, ALPHA, BETA, GAMMA, 1, lambda scale: scale).shape == (3, 3, 5, 4)
    # What is missing: [B, H, N, d] back to [B, N, D].
    fixed = algorithm_2(x, ALPHA, BETA, GAMMA, 2, lambda scale: scale.transpose(1, 2).reshape(x.shape))
    expected = torch.stack([paper.seed_norm(row, ALPHA, BETA, GAMMA, 2) for row in x.reshape(-1, 4)]).reshape(x.shape)
    assert off(fixed, expected) <= 2 * ROUNDING


def algorithm_1(x, alpha, beta, gamma):
    rescale = torch.tanh(x @ beta)
    x = x / x.square().mean(-1, keepdim=True).sqrt()
    dynamic_scale = rescale.unsqueeze(1) * alpha
    return (dynamic_scale + gamma) * x


def test_algorithm_1_is_for_two_dimensions():
    x = three_by_five()
    expected = torch.stack([paper.seed_norm(row, ALPHA, BETA, GAMMA) for row in x.reshape(-1, 4)]).reshape(x.shape)
    for sample, rows in zip(x, expected, strict=True):
        assert off(algorithm_1(sample, ALPHA, BETA, GAMMA), rows) <= 2 * ROUNDING
    with pytest.raises(RuntimeError, match="must match"):
        algorithm_1(x, ALPHA, BETA, GAMMA)
    # With as many tokens as columns it runs, and gives each column another token's coefficient.
    square, rows = x[:, :4], expected[:, :4]
    assert off(algorithm_1(square, ALPHA, BETA, GAMMA), rows) > 0.5


def test_eq_6_18_and_19_write_a_row_for_the_gradient_of_alpha():
    # Eq. 17 says that the dot is the product of matrices: 1 x D times D x D.
    for num_heads in (1, 2):
        printed = paper.row(X / paper.rms(X)) @ torch.diag(paper.rescale(X, BETA, num_heads))
        assert printed.shape == (1, 4) and jacobian(1, num_heads).shape == (4, 4)
        with pytest.raises(RuntimeError):
            paper.row(GAMMA) @ printed  # g . J of Eq. 17
        # Its diagonal matrix is right.
        assert off(torch.diag(printed[0]), jacobian(1, num_heads)) <= ROUNDING


def test_c_2_names_the_wrong_product():
    def s(alpha):
        return paper.rescale(X, BETA, 2) * alpha

    # The text: ds_k / dalpha_l = sigma(alpha_hi . beta_hi^T) for k and l in the same head.
    printed = paper.same_head(4, 2) * paper.rescale(ALPHA, BETA, 2)[:, None]
    # The formula below the text: sigma(x_hi . beta_hi^T) delta_kl.
    right = torch.diag(paper.rescale(X, BETA, 2))
    assert off(right, jacrev(s)(ALPHA)) <= ROUNDING
    # tanh(1 0.5 + 0.5 0.25), where k and l differ and the derivative is 0; and on the diagonal, tanh(-0.75) - tanh(-0.25)
    assert off(printed, right) == pytest.approx(math.tanh(0.75), abs=ROUNDING)
    assert off(torch.diag(printed), torch.diag(right)) == pytest.approx(math.tanh(0.75) - math.tanh(0.25), abs=ROUNDING)


def test_eq_22_loses_a_kronecker_delta():
    printed, right = paper.jacobian_beta_printed(X, ALPHA, BETA, 2), jacobian(2, 2)
    # k = 3 of the second head, l = 1 of the first: 2 sech^2(0.5 - 0.25), where the derivative is 0
    assert off(printed, right) == pytest.approx(2 / math.cosh(0.25) ** 2, abs=ROUNDING)
    assert off(paper.same_head(4, 2) * printed, right) <= ROUNDING


def test_eq_22_applies_sigma_twice_in_its_third_line():
    # alpha_k r_k delta_ij sigma'(z) d/dbeta_l sigma(z), whose derivative has another sigma'
    slopes = paper.rescale(X, BETA, 2, paper.slope)
    printed = paper.same_head(4, 2) * (paper.row(ALPHA * X).T @ paper.row(slopes**2 * X))
    right = jacobian(2, 2)
    sech2 = 1 / math.cosh(0.25) ** 2
    assert off(printed, right) == pytest.approx(2 * (sech2 - sech2**2), abs=ROUNDING)


def test_eq_27_loses_alpha():
    def s(x):
        return paper.rescale(x, BETA, 2) * ALPHA

    printed = paper.same_head(4, 2) * paper.beta_rows(X, BETA, 2, BETA)
    right = jacrev(s)(X)
    # k = l = 3: beta_l sech^2(-0.25) alpha_k, with alpha_k = 2
    assert off(printed, right) == pytest.approx(0.5 / math.cosh(0.25) ** 2, abs=ROUNDING)
    assert off(ALPHA[:, None] * printed, right) <= ROUNDING


def test_eq_28_loses_a_kronecker_delta():
    printed, right = paper.jacobian_x_printed(X, ALPHA, BETA, GAMMA, 2), jacobian(0, 2)
    # k = 3 of the second head, l = 1 of the first: 2 0.5 sech^2(0.25), where the first term is 0
    assert off(printed, right) == pytest.approx(1 / math.cosh(0.25) ** 2, abs=ROUNDING)
    # Block by block it is right, and with one head there is one block.
    same = paper.same_head(4, 2)
    assert off(same * printed, same * right) <= ROUNDING
    assert off(paper.jacobian_x_printed(X, ALPHA, BETA, GAMMA, 1), jacobian(0, 1)) <= ROUNDING


# x . beta = 0, and |(alpha r)^T beta| = sqrt(2) |beta| = 1
FLAT, TILTED = torch.ones(2, dtype=torch.float64), torch.tensor([0.5, -0.5], dtype=torch.float64)


def test_large_x_is_not_large_x_beta():
    norm = torch.linalg.matrix_norm
    for k in (10.0, 100.0, 1000.0):
        of_x, of_beta = jacrev(paper.seed_norm, (0, 2))(k * FLAT, FLAT, TILTED, FLAT)
        # The first term has norm 1, the others 1 / k and are orthogonal to it. The norm stays where the paper says that
        # it "decreases by the same factor k".
        assert norm(of_x).item() == pytest.approx(math.sqrt(1 + 1 / k**2), abs=ROUNDING)
        # The gradient of beta is k in each entry. It grows where the paper says that it "approaches 0".
        assert norm(of_beta).item() == pytest.approx(2 * k, rel=ROUNDING)
        # While beta is 0, its initial value, it grows like this for every x.
        at_start = jacobian(2, x=k * X, beta=0 * BETA)
        assert off(at_start, k * jacobian(2, beta=0 * BETA)) <= ROUNDING * k
        # The operator has the same gradients.
        x, beta = (k * FLAT).requires_grad_(), TILTED.clone().requires_grad_()
        y = F.seed_norm(x, FLAT, FLAT, beta, eps=1e-300)
        dx, dbeta = torch.autograd.grad(y, (x, beta), FLAT)
        assert off(dx, FLAT @ of_x) <= ROUNDING and off(dbeta, FLAT @ of_beta) <= ROUNDING * k


def test_large_x_on_average():
    """If z = x . beta is normal with density p, the means of sech^2(k z) and of its square both fall as p(0) / k."""
    z = torch.linspace(-8, 8, 400_001, dtype=torch.float64)
    step = z[1] - z[0]
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    for k in (30.0, 100.0, 1000.0):
        slope = 1 / torch.cosh(k * z) ** 2
        mean = (slope * density).sum() * step
        square = (slope**2 * density).sum() * step
        # The integrals of sech^2 and sech^4 are 2 and 4/3. The next term of p(z) = p(0) (1 - z^2 / 2 ...) contributes
        # less than 1 / k^2 of that, because the integral of t^2 sech^2(t) is pi^2 / 6. The sum's steps are at most 0.04 of
        # sech's argument, for which the trapezoid rule is exact to float64's digits.
        assert abs(mean * k / (2 * density[200_000]) - 1) <= 1 / k**2
        assert abs(square * k / (4 / 3 * density[200_000]) - 1) <= 1 / k**2


def test_the_dynamic_coefficient_tends_to_plus_or_minus_alpha():
    # "s approaches 1": for x of ones, x . beta = 0.5, and tanh(+-5000) is +-1 in float64.
    for sign in (1, -1):
        s = paper.rescale(sign * 1e4 * torch.ones(4), BETA) * ALPHA
        assert torch.equal(s, sign * ALPHA)


def test_tanh_and_rms_are_of_the_same_order_but_not_equivalent():
    # "equivalent infinitesimals": the ratio of tanh(k x . beta) and k RMS(x) tends to x . beta / RMS(x), not to 1.
    x = torch.tensor([3.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    for k in (1e-3, 1e-6):
        ratio = torch.tanh(k * (x * BETA).sum()) / (k * paper.rms(x))
        # tanh(t) = t - t^3 / 3 ..., with t = 1.5 k
        assert abs(ratio - 1.5 / math.sqrt(3)) <= k**2 + ROUNDING


def test_the_slope_is_a_function_of_the_product():
    # "sigma'(x . beta^T) = 1 / cosh^2(x)": the left side is a number, the right side a row.
    right = jacrev(torch.tanh)((X * BETA).sum())
    printed = 1 / torch.cosh(X) ** 2
    assert right.shape == () and printed.shape == (4,)
    assert difference(1 / torch.cosh((X * BETA).sum()) ** 2, right) <= ROUNDING
    # x . beta = 0.25 - 0.25 = 0, where the slope is 1.
    assert difference(printed, right) == pytest.approx(1 - 1 / math.cosh(1) ** 2, abs=ROUNDING)


def test_rms_norm_is_on_a_sphere_of_radius_sqrt_d():
    for dim in (4, 256):
        x = torch.linspace(-1, 3, dim, dtype=torch.float64)
        assert abs((x / paper.rms(x)).norm() - math.sqrt(dim)) <= (dim + 4) * U * math.sqrt(dim)


def test_proposition_b_1_is_of_single_elements_only():
    """As matrices, the gradients differ by as much as DyT's own, however wide the row."""
    for dim in (16, 256):
        x = torch.randn(dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)
        c, root = paper.rms(x), math.sqrt(dim)
        gradient = jacrev(lambda x: x / paper.rms(x))(x)
        dyt = jacrev(paper.dyt)(x, 1 / (c * root), torch.full((dim,), root, dtype=torch.float64), 0.0)
        direction = x / x.norm()
        # RMSNorm does not change along x. DyT's slopes there are (1 - tanh^2(t)) / c >= (1 - t^2) / c with t = x / |x|,
        # and the sum of t^4 is below 1/2 unless one element dominates the row.
        assert (gradient @ direction).norm() <= dim * U * 10 / c
        assert (dyt @ direction).norm() > 0.5 / c
        assert torch.linalg.matrix_norm(dyt - gradient, 2) > 0.5 * torch.linalg.matrix_norm(dyt, 2)
    # A row of one number and zeros: 4 against 4 tanh(1) = 3.05, with slopes of 0 against sech^2(1) / c = 1.68.
    x = torch.zeros(16, dtype=torch.float64)
    x[0] = 1
    c = paper.rms(x)
    assert c == 0.25 and (x / c)[0] == 4
    assert 4 * math.tanh(x[0] / (4 * c)) == pytest.approx(3.0464, abs=5e-5)
    assert jacrev(lambda x: x / paper.rms(x))(x)[0, 0] == 0
    assert 1 / (c * math.cosh(x[0] / (4 * c)) ** 2) == pytest.approx(1.6799, abs=5e-5)


def test_f_1_counts_one_head_of_query_and_key_norm():
    n, dim, num_heads = 12, 1024, 16  # OLMoE-1.3B, Table 6
    printed = (8 * n + 8 * n // num_heads + 4) * dim - 4 * n - 1
    assert (8 * n) % num_heads == 0 and printed == 108_495
    layers, width = 2 * n + 1, dim // num_heads
    assert printed == (4 * dim - 1) * layers + (4 * width - 1) * 2 * n
    # Section 4.1: "perform QueryNorm and KeyNorm in each attention head": 16 rows of each for a token.
    every = (4 * dim - 1) * layers + (4 * width - 1) * 2 * n * num_heads
    assert every == 200_295
    # It is still less than a thousandth of the 2 operations with each of the 260 million active parameters.
    assert every < 1e-3 * 2 * 260e6


# Loss and perplexity of Tables 1 and 3, c4_en-validation
TABLES = {
    "OLMoE-1.3B": (2.922, 18.63),
    "OLMoE-1.3B-DyT": (2.968, 19.45),
    "OLMoE-1.3B-SeeDNorm": (2.900, 18.12),
    "OLMoE-7B": (2.644, 14.07),
    "OLMoE-7B-SeeDNorm": (2.631, 13.88),
    "OLMo2-550M": (3.011, 20.30),
    "OLMo2-550M-SeeDNorm": (3.008, 20.24),
    "OLMo2-1B": (2.884, 17.88),
    "OLMo2-1B-SeeDNorm": (2.879, 17.79),
    "alpha 0.1": (2.912, 18.39),
    "alpha 10": (3.154, 23.42),
    "scalar alpha": (2.909, 18.33),
    "x beta elementwise": (2.909, 18.33),
    "w/o alpha": (2.907, 18.29),
    "w/o beta": (2.911, 18.37),
    "w/o gamma": (2.913, 18.41),
    "QKNormAll": (2.902, 18.20),
    "MultiheadSeeDNorm": (2.904, 18.25),
    "1.3B-FC": (2.908, 18.32),
    "1.3B-SeeDNorm-FC": (2.899, 18.11),
    "7B-FC": (2.630, 13.88),
    "7B-SeeDNorm-FC": (2.629, 13.86),
}


def test_tables_1_and_3_perplexity_is_not_always_exp_of_the_loss():
    def agree(loss, perplexity):
        # Rounded or cut to the digits printed: within one unit of the last.
        return math.exp(loss - 0.001) - 0.01 <= perplexity <= math.exp(loss + 0.001) + 0.01

    assert len(TABLES) == 22
    wrong = {name for name, row in TABLES.items() if not agree(*row)}
    assert wrong == {"OLMoE-1.3B", "OLMoE-1.3B-SeeDNorm", "1.3B-SeeDNorm-FC"}
    # A mean of perplexities is at least exp of the mean loss: SeeDNorm's is below.
    assert 18.12 < math.exp(2.900 - 0.001)
    # The gain in loss is 0.022 as printed, and 0.028 by the perplexities.
    assert 2.922 - 2.900 == pytest.approx(0.022)
    assert math.log(18.63 / 18.12) == pytest.approx(0.0278, abs=5e-5)
