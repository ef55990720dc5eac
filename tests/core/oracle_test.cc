// The oracles themselves: gradients against finite differences, bounds against plain float32 arithmetic,
// values against hand calculations. Nothing here calls the library.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/oracle.h"

namespace seednorm::test {

// Every operation in float32, in the order the formula is written: an implementation that the bounds must
// cover.
struct Single {
  double value = 0;
  Single() = default;
  Single(double v) : value(static_cast<float>(v)) {}  // NOLINT: formulas mix numbers and constants
};
// clang-format off
// Rounding a double result is rounding the exact one: 53 >= 2 * 24 + 2.
inline Single operator-(Single a) { return -a.value; }
inline Single operator+(Single a, Single b) { return a.value + b.value; }
inline Single operator-(Single a, Single b) { return a.value - b.value; }
inline Single operator*(Single a, Single b) { return a.value * b.value; }
inline Single operator/(Single a, Single b) { return a.value / b.value; }
inline Single sqrt(Single a) { return std::sqrt(a.value); }
inline Single exp(Single a) { return std::exp(a.value); }
inline Single tanh(Single a) { return std::tanh(a.value); }
inline Single erf(Single a) { return std::erf(a.value); }
inline Single abs(Single a) { return std::fabs(a.value); }
inline Single max(Single a, Single b) { return max(a.value, b.value); }
inline Single hardtanh(Single a) { return hardtanh(a.value); }
inline Single hardtanh_slope(Single a) { return hardtanh_slope(a.value); }
inline double value_of(Single a) { return a.value; }
// clang-format on

namespace {

// Every norm, form, sigma and some numbers of heads.
std::vector<LayerCase> all_cases(int64_t dim, int64_t rows) {
  std::vector<LayerCase> cases;
  for (const std::string norm : kNormNames) {
    for (const Options& form : all_forms(norm)) {
      for (const Sigma sigma : kSigmas) {
        for (const int64_t heads : {1, 2, 4}) {
          if (!is_dynamic(norm) && sigma != Sigma::kTanh) continue;
          if (!has_heads(norm) && heads > 1) continue;
          if (form.beta != Form::kVector && heads > 1) continue;
          LayerCase c{.norm = norm, .dim = dim, .rows = rows, .options = form};
          c.options.sigma = sigma;
          c.options.num_heads = heads;
          c.options.dot_scale = heads == 2 && is_dynamic(norm) ? 2.0 / static_cast<double>(dim) : 1.0;
          c.options.eps = heads == 4 ? 1e-2 : 1e-6;
          c.options.dropout = is_dynamic(norm) ? 0.25 : 0;
          c.rows_per_sample = 2;
          c.seed = cases.size();
          c.mean = c.seed % 2 == 0 ? 0 : 4;
          c.training = c.seed % 3 == 0;
          c.residual = has_residual(norm) && c.seed % 5 == 0;
          cases.push_back(c);
        }
      }
    }
  }
  return cases;
}

// sum dy y + dsum x, what the gradients are of.
Bounded objective(const LayerCase& c, const Inputs& in) {
  std::vector<Bounded> terms;
  for (int64_t r = 0; r < c.rows; ++r) {
    const std::vector<Bounded> y = formula(c.norm, c.options, row_of<Bounded>(c, in, r));
    for (int64_t i = 0; i < c.dim; ++i) {
      const size_t at = static_cast<size_t>(r * c.dim + i);
      terms.push_back(in.dy[at] * y[static_cast<size_t>(i)]);
      if (c.residual) terms.push_back(Bounded(in.dsum[at]) * in.normed[at]);
    }
  }
  return sum(terms);
}

// The derivative of the objective by `element`. With D(h) = (f(e + h) - f(e - h)) / 2h the extrapolation
// (4 D(h/2) - D(h)) / 3 is off by O(h^4), for which the O(h^2) that it removes, |D(h) - D(h/2)| / 3, stands
// as the bound; f known within df adds (4 * 2 df/h + df/h) / 3 = 3 df/h.
Bounded finite_difference(const LayerCase& c, Inputs& in, double& element) {
  const double h = 0x1p-13, centre = element;
  double df = 0;
  const auto slope = [&](double step) {
    element = centre + step;
    const Bounded right = objective(c, in);
    element = centre - step;
    const Bounded left = objective(c, in);
    element = centre;
    df = std::max({df, right.error, left.error});
    return (right.value - left.value) / (2 * step);
  };
  const double coarse = slope(h), fine = slope(h / 2);
  return {(4 * fine - coarse) / 3, std::fabs(fine - coarse) / 3 + 3 * df / h};
}

void expect_near(double gradient, double error, const Bounded& difference, const char* what, size_t i) {
  EXPECT_TRUE(std::fabs(gradient - difference.value) <= error + difference.error)
      << what << " element " << i << ": gradient " << gradient << ", finite difference " << difference.value
      << " within " << difference.error;
  EXPECT_LE(difference.error, 1e-6 * (10 + std::fabs(difference.value)))
      << what << ": the bound says nothing";
}

TEST(Oracle, GradientsAgreeWithFiniteDifferences) {
  for (const LayerCase& c : all_cases(12, 2)) {
    SCOPED_TRACE(describe(c));
    Inputs in = make_inputs(c);
    Arithmetic::current() = Arithmetic::of(DType::kFloat64);
    const Gradients<Bounded> gradients = gradients_of<Bounded>(c, in);
    for (size_t i = 0; i < in.normed.size(); ++i) {
      expect_near(gradients.dx[i].value, gradients.dx[i].error, finite_difference(c, in, in.normed[i]), "dx",
                  i);
    }
    for (size_t p = 0; p < kNumParams; ++p) {
      for (size_t i = 0; i < in.params[p].size(); ++i) {
        const Bounded gradient = gradients.params[p][i].total();
        expect_near(gradient.value, gradient.error, finite_difference(c, in, in.params[p][i]), "parameter",
                    i);
      }
    }
  }
}

// The largest part of its bound that an error reaches.
struct Tightness {
  double largest = 0;
  void expect_covers(const Bounded& bound, double actual, const char* what) {
    const double error = std::fabs(actual - bound.value);
    EXPECT_TRUE(error <= bound.error)
        << what << ": " << actual << " is not " << bound.value << " within " << bound.error;
    if (bound.error > 0) largest = std::max(largest, error / bound.error);
  }
};

void expect_bounds_cover(const LayerCase& c, Tightness& forward, Tightness& backward) {
  SCOPED_TRACE(describe(c));
  const Inputs in = make_inputs(c);
  const std::vector<Bounded> y = expected_forward(c, in);
  const Gradients<Bounded> gradients = expected_backward(c, in);
  const Gradients<Single> single = gradients_of<Single>(c, in);
  for (int64_t r = 0; r < c.rows; ++r) {
    const std::vector<Single> row = formula(c.norm, c.options, row_of<Single>(c, in, r));
    for (int64_t i = 0; i < c.dim; ++i) {
      const size_t at = static_cast<size_t>(r * c.dim + i);
      forward.expect_covers(y[at], row[static_cast<size_t>(i)].value, "y");
      backward.expect_covers(gradients.dx[at], single.dx[at].value, "dx");
    }
  }
  for (size_t p = 0; p < kNumParams; ++p) {
    for (size_t i = 0; i < in.params[p].size(); ++i) {
      backward.expect_covers(gradients.params[p][i].total(), single.params[p][i].total().value, "parameter");
    }
  }
}

// The largest error of a case is typically a tenth of the bound in forward and a quarter in backward; 0.005
// where all hangs on one dot product of a thousand terms, whose error has little chance to come near its
// limit.
TEST(Oracle, BoundsCoverFloat32AndAreNotLoose) {
  for (const int64_t dim : {4, 48, 1000}) {
    double forward_sum = 0, backward_sum = 0, num_cases = 0;
    for (const LayerCase& c : all_cases(dim, dim == 1000 ? 2 : 5)) {
      Tightness forward, backward;
      expect_bounds_cover(c, forward, backward);
      forward_sum += forward.largest;
      backward_sum += backward.largest;
      ++num_cases;
    }
    EXPECT_GT(forward_sum / num_cases, 0.05) << "width " << dim;
    EXPECT_GT(backward_sum / num_cases, 0.1) << "width " << dim;
  }
}

// One row by hand.
std::vector<double> row_by_hand(const char* norm, const Options& options, const std::vector<double>& x,
                                const std::vector<std::pair<Param, std::vector<double>>>& params) {
  Row<double> row;
  row.x = x;
  for (const auto& [param, values] : params) row[param] = values;
  return formula(norm, options, row);
}
void expect_row(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_DOUBLE_EQ(actual[i], expected[i]) << "element " << i;
}

TEST(Oracle, ValuesByHand) {
  const Options exact{.eps = 1.0};
  // mean of squares 48 + eps 1: RMS is 7.
  const std::vector<double> x = {4, -4, 8, 0, 12, 0, 0, 12};
  const double t = std::tanh(0.25), u = std::tanh(-0.5);
  expect_row(row_by_hand("rms_norm", exact, x, {{Param::kGamma, {7, 7, 7, 7, 14, 7, 7, 0}}}),
             {4, -4, 8, 0, 24, 0, 0, 0});
  // x . beta = 1/4; in two heads 1/4 of the first half and -1/2 of the second.
  const std::vector<double> ones(8, 7), alpha = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<double> beta = {0.0625, 0, 0, 9, 0, 9, 9, 0};
  expect_row(row_by_hand("seed_norm", exact, x,
                         {{Param::kGamma, ones}, {Param::kAlpha, alpha}, {Param::kBeta, beta}}),
             {4 * (t + 7) / 7, -4 * (2 * t + 7) / 7, 8 * (3 * t + 7) / 7, 0, 12 * (5 * t + 7) / 7, 0, 0,
              12 * (8 * t + 7) / 7});
  const std::vector<double> halves = {0.0625, 0, 0, 0, -1.0 / 24, 0, 0, 0};
  expect_row(row_by_hand("seed_norm", {.eps = 1, .num_heads = 2}, x,
                         {{Param::kGamma, ones}, {Param::kAlpha, alpha}, {Param::kBeta, halves}}),
             {4 * (t + 7) / 7, -4 * (2 * t + 7) / 7, 8 * (3 * t + 7) / 7, 0, 12 * (5 * u + 7) / 7, 0, 0,
              12 * (8 * u + 7) / 7});
  expect_row(
      row_by_hand(
          "ada_seed_norm", exact, x,
          {{Param::kAlpha, alpha}, {Param::kBeta, beta}, {Param::kGammaC, ones}, {Param::kEtaC, ones}}),
      {7 + 32 * (t + 1) / 7, 7 - 32 * (2 * t + 1) / 7, 7 + 64 * (3 * t + 1) / 7, 7, 7 + 96 * (5 * t + 1) / 7,
       7, 7, 7 + 96 * (8 * t + 1) / 7});
  // mean 4, biased variance 8 + eps 1: the deviation is 3.
  expect_row(row_by_hand("layer_norm", exact, {0, 4, 8, 4},
                         {{Param::kGamma, {3, 3, 6, 3}}, {Param::kBeta, {1, 1, 1, 1}}}),
             {-3, 1, 9, 1});
  expect_row(row_by_hand("dyt", {}, {0, 0.5},
                         {{Param::kGamma, {2, 2}}, {Param::kAlpha, {0.5}}, {Param::kBeta, {3, 1}}}),
             {3, 1 + 2 * t});
  expect_row(
      row_by_hand(
          "derf", {}, {0, 2},
          {{Param::kGamma, {2, 2}}, {Param::kAlpha, {0.5}}, {Param::kBeta, {3, 1}}, {Param::kShift, {-1}}}),
      {3 - 2 * std::erf(1), 1});
  // Two groups, whose means are 2 and 6 and whose variances are 4 and 0.
  expect_row(row_by_hand("group_layer_norm", {.eps = 12, .num_heads = 2}, {0, 4, 6, 6},
                         {{Param::kGamma, {2, 4, 8, 8}}, {Param::kBeta, {0, 0, 1, 2}}}),
             {-1, 2, 1, 2});
  // 3 / sqrt(9 + 16), 0, and the limit.
  expect_row(row_by_hand("dyisru", {}, {3, 0, -1e200},
                         {{Param::kGamma, {5, 1, 2}}, {Param::kAlpha, {0.25}}, {Param::kBeta, {1, 7, 1}}}),
             {4, 7, -1});
  // 6 (5 - 2) / sqrt(8 + 1) + 1, and without the variance that is below 0.
  expect_row(row_by_hand("lan", {.eps = 1}, {5, 5},
                         {{Param::kGamma, {6, 6}},
                          {Param::kAlpha, {8, -3}},
                          {Param::kBeta, {1, 1}},
                          {Param::kShift, {2, 2}}}),
             {7, 19});
  // e is 6 and 8, its mean square 50 + eps 14 = 8^2: the gates are tanh(0.25) and tanh(0.5 - 1).
  expect_row(row_by_hand("gct", {.eps = 14}, {3, -4},
                         {{Param::kGamma, {0, -1}}, {Param::kAlpha, {2, 2}}, {Param::kBeta, {0.25, 0.5}}}),
             {3 * (1 + t), -4 * (1 + u)});
  expect_row(row_by_hand("scale_norm", {}, {3, -4}, {{Param::kGamma, {10}}}), {6, -8});
  expect_row(row_by_hand("scale_norm", {.eps = 10}, {3, -4}, {{Param::kGamma, {10}}}), {3, -4});
}

TEST(Oracle, ZeroBetaIsRmsNorm) {
  for (const int64_t heads : {1, 2, 3}) {
    LayerCase c{.norm = "seed_norm", .dim = 18, .rows = 3, .options = {.num_heads = heads}};
    Inputs in = make_inputs(c);
    for (double& element : in.param(Param::kBeta)) element = 0;
    for (int64_t r = 0; r < c.rows; ++r) {
      const Row<double> row = row_of<double>(c, in, r);
      EXPECT_EQ(formula("seed_norm", c.options, row), formula("rms_norm", {}, row));
    }
  }
}

TEST(Oracle, SaturatesWithoutNaN) {
  for (const Sigma kind : kSigmas) {
    for (const double z : {40.0, 100.0, 1e4, 1e30, 1e300}) {
      for (const double signed_z : {z, -z}) {
        Tape<double> tape;
        const Var<double> at = tape.leaf(signed_z);
        const Var<double> u = sigma(kind, at);
        EXPECT_TRUE(std::isfinite(u.value)) << static_cast<int>(kind) << ' ' << signed_z;
        const double slope = tape.gradients(u)[0].total();
        EXPECT_TRUE(std::fabs(slope) <= 1 + 1e-9)
            << static_cast<int>(kind) << ' ' << signed_z << ": " << slope;
      }
    }
  }
}

// Rounding and encoding of the narrow types, against the compiler's float and worked values.
TEST(Storage, RoundsToNearestEven) {
  EXPECT_EQ(round_to(DType::kBFloat16, 1 + 0x1p-8), 1.0);
  EXPECT_EQ(round_to(DType::kBFloat16, 1 + 0x1.8p-7), 1 + 0x1p-6);
  EXPECT_EQ(round_to(DType::kBFloat16, 0x1.8p-134), 0x1p-133);
  EXPECT_EQ(round_to(DType::kBFloat16, 0x1p-134), 0.0);
  EXPECT_EQ(round_to(DType::kFloat16, 65519.0), 65504.0);
  EXPECT_EQ(round_to(DType::kFloat16, -65520.0), -INFINITY);
  EXPECT_EQ(round_to(DType::kFloat16, 0x1.8p-25), 0x1p-24);
  for (int i = 1; i < 2000; ++i) {
    const double v = std::exp(0.1 * i - 100) * (i % 2 == 0 ? 1 : -1);
    EXPECT_EQ(round_to(DType::kFloat32, v), static_cast<double>(static_cast<float>(v)));
  }
}

TEST(Storage, EveryBitPatternComesBack) {
  for (const DType dtype : {DType::kBFloat16, DType::kFloat16}) {
    for (int bits = 0; bits < 65536; ++bits) {
      const uint16_t pattern = static_cast<uint16_t>(bits);
      const double value = load(dtype, &pattern);
      if (std::isnan(value)) continue;
      uint16_t back = 0;
      store(dtype, value, &back);
      ASSERT_EQ(back, pattern);
    }
  }
  const uint16_t one_and_a_half[] = {0x3FC0, 0x3E00};  // from the definitions of the formats
  EXPECT_EQ(load(DType::kBFloat16, &one_and_a_half[0]), 1.5);
  EXPECT_EQ(load(DType::kFloat16, &one_and_a_half[1]), 1.5);
}

}  // namespace
}  // namespace seednorm::test
