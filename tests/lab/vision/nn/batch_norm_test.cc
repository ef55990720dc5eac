// BatchNorm (Eq. 1) against libtorch's own, in float64 where that is the oracle.
#include "lab/vision/nn/batch_norm.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr double kEps = 1e-3;

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}

void set_random(BatchNorm& norm, uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const auto& p : norm.named_parameters()) Tensor(p.value()).copy_(random(p.value().sizes(), seed++));
}

double error(const Tensor& a, const Tensor& b) { return (a.to(at::kDouble) - b).abs().max().item<double>(); }

// Channels have means of a few units, and sides and channels differ.
TEST(BatchNorm, IsEquationOne) {
  const int64_t channels = 5;
  BatchNorm norm(channels, kEps);
  set_random(norm, 1);
  auto p = norm.named_parameters(), b = norm.named_buffers();
  Tensor mean = at::zeros({channels}, at::kDouble), variance = at::ones({channels}, at::kDouble);
  for (int step = 0; step < 3; ++step) {
    Tensor x = (random({4, 3, 2, channels}, 10 + step) * 2 + random({channels}, 3)).requires_grad_(true);
    const Tensor w = random(x.sizes(), 20 + step), y = norm.forward(x, /*training=*/true);
    const auto grads = torch::autograd::grad({(y * w).sum()}, {x, p["weight"], p["bias"]});
    std::vector<Tensor> exact;  // in float64, channels first
    for (const Tensor& t : {x, p["weight"], p["bias"]}) {
      exact.push_back(t.detach().to(at::kDouble).requires_grad_(true));
    }
    const Tensor expected = at::batch_norm(exact[0].permute({0, 3, 1, 2}), exact[1], exact[2], mean, variance,
                                           /*training=*/true, /*momentum=*/0.1, kEps, /*cudnn_enabled=*/false)
                                .permute({0, 2, 3, 1});
    const auto wanted = torch::autograd::grad({(expected * w).sum()}, exact);
    ASSERT_EQ(y.sizes(), x.sizes());
    // Sums of 24 numbers of a few units in float32.
    EXPECT_TRUE(error(y, expected) <= 1e-5) << step;
    for (size_t i = 0; i < grads.size(); ++i) EXPECT_TRUE(error(grads[i], wanted[i]) <= 3e-5) << step << i;
    EXPECT_TRUE(error(b["running_mean"], mean) <= 1e-6 && error(b["running_var"], variance) <= 1e-5) << step;
  }
  // The averages, whatever the other rows are.
  const at::NoGradGuard no_grad;
  const Tensor x = random({6, channels}, 30), y = norm.forward(x, /*training=*/false);
  EXPECT_TRUE(
      error(y, at::batch_norm(x.to(at::kDouble), p["weight"].to(at::kDouble), p["bias"].to(at::kDouble), mean,
                              variance, /*training=*/false, 0.1, kEps, false)) <= 1e-5);
  EXPECT_TRUE(at::equal(norm.forward(x.narrow(0, 2, 1), false), y.narrow(0, 2, 1)));
  EXPECT_THROW(norm.forward(x.narrow(0, 0, 1), /*training=*/true), std::invalid_argument);
}

TEST(BatchNorm, BitsDoNotDependOnTheThreads) {
  const int before = at::get_num_threads();
  for (const int64_t channels : {3, 40, 130}) {
    std::vector<std::vector<Tensor>> results;
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      BatchNorm norm(channels, kEps);
      set_random(norm, 1);
      Tensor x = random({30000, channels}, 2).requires_grad_(true);
      const Tensor y = norm.forward(x, /*training=*/true);
      const auto p = norm.named_parameters();
      results.push_back(torch::autograd::grad({y}, {x, p["weight"], p["bias"]}, {random(x.sizes(), 3)}));
      results.back().push_back(y.detach());
      for (const Tensor& running : norm.buffers()) results.back().push_back(running);
    }
    for (size_t i = 0; i < results[0].size(); ++i) {
      EXPECT_TRUE(at::equal(results[1][i], results[0][i])) << channels << " " << i;
      EXPECT_TRUE(at::equal(results[2][i], results[0][i])) << channels << " " << i;
    }
  }
  at::set_num_threads(before);
}

// Half precision: statistics are of float32, results of the input's dtype.
TEST(BatchNorm, KeepsTheDtype) {
  BatchNorm norm(8, kEps);
  const Tensor x = random({50, 8}, 1).to(at::kBFloat16);
  BatchNorm exact(8, kEps);
  EXPECT_TRUE(at::equal(norm.forward(x, true), exact.forward(x.to(at::kFloat), true).to(at::kBFloat16)));
}

}  // namespace
}  // namespace seednorm::lab
