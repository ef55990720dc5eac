// The MLP of models of pictures in one function: equal to the formula in double, gradients too.
#include "lab/nn/gelu_mlp.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "lab/nn/cpu/product_choice.h"
#include "lab/nn/cpu/products.h"
#include "seednorm/simd.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

struct Mlp {
  Tensor x;
  GeluMlpWeights w;
  std::vector<Tensor> all() const { return {x, w.up, w.up_bias, w.down, w.down_bias}; }
  Mlp to(at::ScalarType dtype, at::ScalarType weights) const {
    const auto leaf = [](const Tensor& t, at::ScalarType d) {
      return t.detach().to(d).clone().requires_grad_(true);
    };
    return {
        leaf(x, dtype),
        {leaf(w.up, weights), leaf(w.up_bias, weights), leaf(w.down, weights), leaf(w.down_bias, weights)}};
  }
};

// In double, of numbers that bfloat16 has.
Mlp random_mlp(int64_t rows, int64_t dim, int64_t hidden) {
  at::manual_seed(static_cast<uint64_t>(rows));
  const auto numbers = [](at::IntArrayRef shape, double size) {
    return (at::randn(shape, at::kDouble) * size).to(at::kBFloat16).to(at::kDouble);
  };
  return Mlp{
      numbers({rows, dim}, 1),
      {numbers({hidden, dim}, 0.5), numbers({hidden}, 0.5), numbers({dim, hidden}, 0.1), numbers({dim}, 0.5)}}
      .to(at::kDouble, at::kDouble);
}

Tensor formula(const Mlp& m, Gelu kind) {
  const Tensor h = at::gelu(at::linear(m.x, m.w.up, m.w.up_bias), kind == Gelu::kExact ? "none" : "tanh");
  return at::linear(h, m.w.down, m.w.down_bias);
}

std::vector<Tensor> gradients(const Tensor& y, const Mlp& m) {
  const Tensor weights = at::arange(y.numel(), at::kDouble).sin().to(at::kBFloat16).to(y.scalar_type());
  return torch::autograd::grad({y}, m.all(), {weights.view(y.sizes())});
}

// Largest difference as a part of the largest number.
double distance(const Tensor& got, const Tensor& want) {
  const Tensor wide = want.detach();
  return ((got.detach().to(at::kDouble) - wide).abs().max() / wide.abs().max()).item<double>();
}

void compare(const Mlp& exact, at::ScalarType dtype, at::ScalarType weights, double bound) {
  for (const Gelu kind : {Gelu::kExact, Gelu::kTanh}) {
    const Mlp m = exact.to(dtype, weights);
    const Tensor y = gelu_mlp(m.x, m.w, kind), want = formula(exact, kind);
    EXPECT_EQ(y.scalar_type(), dtype);
    EXPECT_TRUE(distance(y, want) <= bound) << distance(y, want);
    const auto got = gradients(y, m), wanted = gradients(want, exact);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_TRUE(distance(got[i], wanted[i]) <= bound) << i << ": " << distance(got[i], wanted[i]);
    }
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(gelu_mlp(m.x, m.w, kind), y)) << "another result where no gradient is needed";
  }
}

constexpr int64_t kRows[] = {1, 63, 64, 65, 300};
// Sums of some hundred terms of each dtype, in another order.
constexpr double kDouble = 1e-12, kFloat = 1e-5;
// Each of the numbers between two products is rounded to 8 bits, twice in backward.
constexpr double kBFloat16 = 4.0 / 256;

class GeluMlp : public testing::Test {
 protected:
  ~GeluMlp() override {
    set_simd_target("");
    set_product_choice(before_);
  }

 private:
  ProductChoice before_ = product_choice();
};

TEST_F(GeluMlp, EqualsTheFormula) {
  for (const std::string& target : simd_targets()) {
    set_simd_target(target);
    for (const int64_t rows : kRows) {
      SCOPED_TRACE(testing::Message() << target << ", " << rows << " rows");
      const Mlp m = random_mlp(rows, 12, 37);
      compare(m, at::kDouble, at::kDouble, kDouble);
      compare(m, at::kFloat, at::kFloat, kFloat);
    }
  }
}

TEST_F(GeluMlp, WithProductsOfEitherLibrary) {
  for (const char* choice : {"float32=mkl", "float32=onednn"}) {
    SCOPED_TRACE(choice);
    set_product_choice(ProductChoice::parse(choice));
    compare(random_mlp(1100, 48, 192), at::kFloat, at::kFloat, kFloat);
  }
}

TEST_F(GeluMlp, OverSeveralTiles) {
  constexpr int64_t kHidden = 2048;
  compare(random_mlp(2 * tile_rows(kHidden) + 5, 8, kHidden), at::kDouble, at::kDouble, kDouble);
}

TEST_F(GeluMlp, InBFloat16) {
  for (const char* choice : {"bfloat16=onednn", "bfloat16=widened"}) {
    set_product_choice(ProductChoice::parse(choice));
    for (const std::string& target : simd_targets()) {
      set_simd_target(target);
      for (const int64_t rows : kRows) {
        SCOPED_TRACE(testing::Message() << choice << ", " << target << ", " << rows << " rows");
        compare(random_mlp(rows, 16, 70), at::kBFloat16, at::kFloat, kBFloat16);
      }
    }
  }
}

TEST_F(GeluMlp, ThreadsDoNotMatter) {
  const int threads = at::get_num_threads();
  const Mlp m = random_mlp(700, 24, 1000).to(at::kBFloat16, at::kFloat);
  std::vector<std::vector<Tensor>> results;
  for (const int n : {1, 2, 3}) {
    at::set_num_threads(n);
    const Tensor y = gelu_mlp(m.x, m.w, Gelu::kExact);
    results.push_back(gradients(y, m));
    results.back().push_back(y);
  }
  at::set_num_threads(threads);
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(at::equal(results[1][i], results[0][i])) << i;
    EXPECT_TRUE(at::equal(results[2][i], results[0][i])) << i;
  }
}

// The curve and its slope at all sizes: with e = 2^-24, the factor of x has an error of 2.5 e by its formula
// and a few e by rounding, so gelu one of a few e |x|. The slope's second term, x times a density, is below 1
// and has an error of a few e as well.
TEST_F(GeluMlp, CurveAtAllSizes) {
  std::vector<float> xs = {0, -0.0f, 1e-40f, -1e-30f};
  for (double x = 1e-6; x < 1e4; x *= 1.01) {
    xs.push_back(static_cast<float>(x));
    xs.push_back(static_cast<float>(-x));
  }
  constexpr double kUnit = 0x1p-24;
  for (const std::string& target : simd_targets()) {
    set_simd_target(target);
    for (const Gelu kind : {Gelu::kExact, Gelu::kTanh}) {
      const auto n = static_cast<int64_t>(xs.size());
      std::vector<float> gradient(xs.size(), 1), out(xs.size()), bias(xs.size());
      gelu_gradient_rows({.dtype = DType::kFloat32,
                          .kind = kind,
                          .rows = 1,
                          .width = n,
                          .in = xs.data(),
                          .gradient = gradient.data(),
                          .out = out.data(),
                          .dbias = bias.data()});
      const Tensor x =
          at::tensor(std::vector<double>(xs.begin(), xs.end()), at::kDouble).requires_grad_(true);
      const Tensor y = at::gelu(x, kind == Gelu::kExact ? "none" : "tanh");
      const Tensor slope = torch::autograd::grad({y.sum()}, {x})[0];
      for (int64_t i = 0; i < n; ++i) {
        const double size = 1 + std::abs(xs[i]);
        EXPECT_TRUE(std::abs(out[i] - y[i].item<double>()) <= 8 * kUnit * std::abs(xs[i]))
            << target << " " << xs[i];
        EXPECT_TRUE(std::abs(gradient[i] - slope[i].item<double>()) <= 16 * kUnit * std::min(size, 4.0))
            << target << " " << xs[i];
        EXPECT_EQ(bias[i], gradient[i]);
      }
    }
  }
}

TEST_F(GeluMlp, NotANumberStaysOne) {
  for (const std::string& target : simd_targets()) {
    set_simd_target(target);
    const Mlp m = random_mlp(3, 8, 20).to(at::kFloat, at::kFloat);
    const at::NoGradGuard no_grad;
    Tensor x = m.x.clone();
    x[1][2] = std::numeric_limits<float>::quiet_NaN();
    const Tensor y = gelu_mlp(x, m.w, Gelu::kExact);
    EXPECT_TRUE(at::isnan(y[1]).all().item<bool>() && !at::isnan(y[0]).any().item<bool>()) << target;
  }
}

}  // namespace
}  // namespace seednorm::lab
