// The product of a few rows: against double, and bitwise independent of other rows and of threads.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <string>

#include "lab/nn/cpu/few_rows.h"
#include "lab/nn/cpu/products.h"
#include "lab/nn/cpu/row_kernels.h"
#include "seednorm/simd.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

class MatrixProduct : public testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, MatrixProduct, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& i) { return at::toString(i.param) + std::string(); });

void compare_with_double(at::ScalarType dtype) {
  at::manual_seed(0);
  for (const int64_t dim : {1, 3, 16, 17, 31, 32, 33, 64, 100, 640}) {
    for (const int64_t outputs : {1, 3, 4, 9}) {
      for (const int64_t rows : {1, 2, 4, 5, 16}) {
        const Tensor x = at::randn({rows, dim}).to(dtype), w = at::randn({outputs, dim}).to(dtype);
        const Tensor exact = at::linear(x.to(at::kDouble), w.to(at::kDouble));
        // dim roundings of 2^-24 of a partial sum, and one to the dtype of the result.
        const Tensor magnitude = at::linear(x.abs().to(at::kDouble), w.abs().to(at::kDouble));
        const double store = dtype == at::kFloat ? 0 : 0x1p-8;
        const Tensor bound = magnitude * (static_cast<double>(dim) * 0x1p-24) + exact.abs() * store;
        const Tensor off = (product(x, w).to(at::kDouble) - exact).abs();
        EXPECT_TRUE((off <= bound).all().item<bool>()) << dim << " " << outputs << " " << rows;
      }
    }
  }
}

// Widths around the vectors' lengths, outputs around the tile's, on every target.
TEST_P(MatrixProduct, EqualsTheSumInDouble) {
  const at::NoGradGuard no_grad;
  for (const std::string& target : simd_targets()) {
    SCOPED_TRACE(target);
    set_simd_target(target);
    compare_with_double(GetParam());
  }
  set_simd_target("");
}

TEST_P(MatrixProduct, ARowDoesNotDependOnOthersOrOnThreads) {
  const at::NoGradGuard no_grad;
  const Tensor x = at::randn({kFewRows, 700}).to(GetParam()), w = at::randn({301, 700}).to(GetParam());
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  const Tensor all = product(x, w);
  at::set_num_threads(1);
  for (int64_t row = 0; row < kFewRows; ++row) {
    EXPECT_TRUE(at::equal(product(x.narrow(0, row, 1), w)[0], all[row])) << row;
  }
  at::set_num_threads(threads);
}

TEST_P(MatrixProduct, NotFiniteStaysInItsRow) {
  const at::NoGradGuard no_grad;
  const Tensor w = at::randn({8, 40}).to(GetParam());
  Tensor x = at::randn({5, 40}).to(GetParam());
  x[1][3] = std::numeric_limits<float>::quiet_NaN();
  const Tensor y = product(x, w);
  EXPECT_TRUE(at::isnan(y[1]).all().item<bool>());
  EXPECT_EQ(at::isnan(y).sum().item<int64_t>(), 8);
}

// Strides, more dimensions and no rows at all; with gradients and for many rows it is at::linear.
TEST(MatrixProduct, ShapesAndGradients) {
  const Tensor w = at::randn({6, 10}), x = at::randn({10, 2, 3}).permute({1, 2, 0});
  {
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::allclose(product(x, w), at::linear(x, w), 1e-5, 1e-6));
    EXPECT_EQ(product(x.narrow(0, 0, 0), w).sizes(), (std::vector<int64_t>{0, 3, 6}));
    const Tensor many = at::randn({kFewRows + 1, 10});
    EXPECT_TRUE(at::equal(product(many, w), at::linear(many, w)));
  }
  const Tensor leaf = x.detach().requires_grad_(true);
  EXPECT_TRUE(product(leaf, w).requires_grad());
}

class Gate : public testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, Gate, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& i) { return at::toString(i.param) + std::string(); });

// Gate and gradients against the formulas in double, on every target, at lengths around the vectors' and with
// the gradients in the place of inputs.
TEST_P(Gate, AndItsGradientsEqualTheFormulasInDouble) {
  const at::ScalarType dtype = GetParam();
  const DType kind = dtype == at::kFloat ? DType::kFloat32 : DType::kBFloat16;
  // silu' is a sum of terms below 1.1, of some roundings each, and the result is rounded to the dtype.
  const double relative = dtype == at::kFloat ? 0x1p-20 : 0x1p-8, absolute = 0x1p-20;
  const auto expect_near = [&](const Tensor& got, const Tensor& want, const Tensor& magnitude) {
    const Tensor bound = want.abs() * relative + magnitude.abs() * absolute;
    EXPECT_TRUE(((got.to(at::kDouble) - want).abs() <= bound).all().item<bool>());
  };
  at::manual_seed(0);
  for (const std::string& target : simd_targets()) {
    set_simd_target(target);
    for (const int64_t count : {1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000}) {
      SCOPED_TRACE(testing::Message() << target << " " << count);
      Tensor g = (4 * at::randn({count})).to(dtype);
      if (count >= 7) g.narrow(0, 0, 6).copy_(at::tensor({0.0, -0.0, 90.0, -90.0, 1e4, -1e4}));
      const Tensor u = at::randn({count}).to(dtype), dy = at::randn({count}).to(dtype);
      const auto wide = [](const Tensor& t) { return t.to(at::kDouble); };
      const Tensor wide_g = wide(g).requires_grad_(true), wide_u = wide(u).requires_grad_(true);
      const Tensor y = wide_g * at::sigmoid(wide_g) * wide_u;
      const auto gradients = torch::autograd::grad({y}, {wide_g, wide_u}, {wide(dy)});
      const Tensor out = at::empty_like(g);
      gate_elements({.dtype = kind, .gate = g.data_ptr(), .up = u.data_ptr(), .out = out.data_ptr()}, 0,
                    count);
      expect_near(out, y.detach(), wide(u));
      const Tensor dg = dy.clone(), du = u.clone();
      gate_gradients({.dtype = kind,
                      .gate = g.data_ptr(),
                      .up = du.data_ptr(),
                      .dout = dg.data_ptr(),
                      .dgate = dg.data_ptr(),
                      .dup = du.data_ptr()},
                     0, count);
      expect_near(dg, gradients[0], wide(dy) * wide(u));
      expect_near(du, gradients[1], wide(dy));
    }
  }
  set_simd_target("");
}

}  // namespace
}  // namespace seednorm::lab
