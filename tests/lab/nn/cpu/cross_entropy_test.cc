// Cross entropy of rows of logits and its gradient against the formula in double, on every target.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "lab/nn/cpu/cross_entropy_kernel.h"
#include "lab/nn/dtype.h"
#include "seednorm/simd.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

std::vector<double> run(const Tensor& logits, const std::vector<int64_t>& targets, bool gradients) {
  std::vector<double> losses(targets.size());
  cross_entropy_rows({.dtype = dtype_of(logits),
                      .rows = logits.size(0),
                      .classes = logits.size(1),
                      .logits = logits.mutable_data_ptr(),
                      .targets = targets.data(),
                      .losses = losses.data(),
                      .gradients = gradients});
  return losses;
}

// The sum has an error of at most `classes` roundings and those of an exponential (8), each of `unit`.
// A term's exponent is rounded, too, which counts `largest - x` times. What is stored is rounded by `stored`.
void compare(at::ScalarType dtype, int64_t classes, double unit, double stored) {
  SCOPED_TRACE(testing::Message() << dtype << ", " << classes << " classes");
  at::manual_seed(static_cast<uint64_t>(classes));
  const std::vector<int64_t> targets = {0, classes - 1, -100, classes / 2, 0};
  const Tensor logits = (at::randn({5, classes}, at::kDouble) * 4).to(dtype);
  logits[4].fill_(-300);
  const Tensor exact = logits.to(at::kDouble).clone(), p = at::softmax(exact, -1), untouched = logits.clone();
  const std::vector<double> losses = run(logits, targets, false);
  EXPECT_TRUE(at::equal(logits, untouched));
  EXPECT_EQ(run(logits, targets, true), losses);
  const double sum_error = static_cast<double>(classes + 8) * unit;
  for (int64_t i = 0; i < 5; ++i) {
    const int64_t target = targets[static_cast<size_t>(i)];
    if (target < 0) {
      EXPECT_EQ(losses[static_cast<size_t>(i)], 0);
      EXPECT_EQ(logits[i].abs().max().item<double>(), 0);
      continue;
    }
    const double want = -at::log_softmax(exact[i], -1)[target].item<double>();
    EXPECT_TRUE(std::abs(losses[static_cast<size_t>(i)] - want) <= sum_error + 1e-15 * std::abs(want)) << i;
    Tensor gradient = p[i].clone();
    gradient[target] -= 1;
    const Tensor depth = exact[i].max() - exact[i];
    const Tensor bound = p[i] * (sum_error + (depth + 8) * unit) + stored * gradient.abs() + 1e-44;
    EXPECT_TRUE(((logits[i].to(at::kDouble) - gradient).abs() <= bound).all().item<bool>()) << i;
  }
}

class CrossEntropy : public testing::Test {
 protected:
  ~CrossEntropy() override { set_simd_target(""); }
};

TEST_F(CrossEntropy, EqualsTheFormula) {
  for (const std::string& target : simd_targets()) {
    SCOPED_TRACE(target);
    set_simd_target(target);
    for (const int64_t classes : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 257, 1000}) {
      compare(at::kDouble, classes, 0x1p-53, 0x1p-53);
      compare(at::kFloat, classes, 0x1p-24, 0x1p-24);
      compare(at::kBFloat16, classes, 0x1p-24, 0x1p-8);
    }
  }
}

// Logits far from 0 and from each other, and rows that are no numbers.
TEST_F(CrossEntropy, Extremes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                  kNaN = std::numeric_limits<float>::quiet_NaN();
  for (const std::string& target : simd_targets()) {
    SCOPED_TRACE(target);
    set_simd_target(target);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const Tensor logits = at::zeros({5, 37}, dtype);
      logits[0][3] = 1e30;
      logits[1][3] = 1e30;
      logits[2].fill_(-kInfinity);
      logits[2][36] = 5;
      logits[3][35] = kNaN;
      logits[4][0] = kInfinity;
      const std::vector<double> losses = run(logits, {3, 4, 36, 0, 1}, true);
      EXPECT_EQ(losses[0], 0);
      EXPECT_NEAR(losses[1] / 1e30, 1, 0x1p-8);
      EXPECT_EQ(losses[2], 0);
      EXPECT_TRUE(std::isnan(losses[3]) && std::isnan(losses[4]));
      EXPECT_EQ(logits[0].abs().max().item<float>(), 0);
      EXPECT_EQ(logits[1][3].item<float>(), 1);
      EXPECT_EQ(logits[1][4].item<float>(), -1);
      EXPECT_EQ(logits[2].abs().max().item<float>(), 0);
      EXPECT_TRUE(at::isnan(logits[3]).any().item<bool>() && at::isnan(logits[4]).any().item<bool>());
    }
  }
}

TEST_F(CrossEntropy, ARowDependsOnNothingElse) {
  at::manual_seed(3);
  const Tensor logits = at::randn({6, 100}), together = logits.clone(),
               alone = logits.narrow(0, 2, 1).clone();
  const std::vector<double> losses = run(together, {1, 2, 3, 4, 5, 6}, true);
  EXPECT_EQ(run(alone, {3}, true)[0], losses[2]);
  EXPECT_TRUE(at::equal(alone[0], together[2]));
}

}  // namespace
}  // namespace seednorm::lab
