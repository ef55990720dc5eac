// Switchable normalization against its definition in float64, gradients too.
#include "lab/vision/nn/switchable_norm.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr double kEps = 1e-3;
constexpr const char* kParams[] = {"weight", "bias", "mean_weight", "var_weight"};

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}

void set_random(SwitchableNorm& norm) {
  const at::NoGradGuard no_grad;
  uint64_t seed = 1;
  for (const auto& p : norm.named_parameters()) Tensor(p.value()).copy_(random(p.value().sizes(), seed++));
}

// x [N, H, W, C], in the dtype of all; batch statistics from x, or {mean, variance} where they are given.
Tensor formula(const Tensor& x, const std::vector<Tensor>& p, const std::vector<Tensor>& running) {
  const auto of = [&](at::IntArrayRef dims) {
    return std::vector<Tensor>{x.mean(dims, true), x.var(dims, /*unbiased=*/false, true)};
  };
  const std::vector<Tensor> instance = of({1, 2}), layer = of({1, 2, 3}),
                            batch = running.empty() ? of({0, 1, 2}) : running;
  const Tensor w = at::softmax(p[2], 0), v = at::softmax(p[3], 0);
  const Tensor mean = w[0] * instance[0] + w[1] * layer[0] + w[2] * batch[0];
  const Tensor variance = v[0] * instance[1] + v[1] * layer[1] + v[2] * batch[1];
  return (x - mean) / (variance + kEps).sqrt() * p[0] + p[1];
}

double error(const Tensor& a, const Tensor& b) { return (a.to(at::kDouble) - b).abs().max().item<double>(); }

// Channels have means of a few units; sides, pictures and channels differ.
TEST(SwitchableNorm, IsItsDefinition) {
  const int64_t channels = 5;
  SwitchableNorm norm(channels, kEps);
  set_random(norm);
  const auto params = norm.named_parameters();
  auto buffers = norm.named_buffers();
  Tensor mean = at::zeros({channels}, at::kDouble), variance = at::ones({channels}, at::kDouble);
  for (int step = 0; step < 3; ++step) {
    std::vector<Tensor> in = {
        (random({4, 3, 2, channels}, 10 + step) * 2 + random({channels}, 3)).requires_grad_(true)};
    for (const char* name : kParams) in.push_back(params[name]);
    std::vector<Tensor> exact;
    for (const Tensor& t : in) exact.push_back(t.detach().to(at::kDouble).requires_grad_(true));
    const Tensor w = random(in[0].sizes(), 20 + step), y = norm.forward(in[0], /*training=*/true);
    const Tensor want = formula(exact[0], {exact.begin() + 1, exact.end()}, {});
    // Sums of up to 120 numbers of a few units in float32.
    EXPECT_TRUE(error(y, want) <= 2e-5) << step;
    const auto grads = torch::autograd::grad({(y * w).sum()}, in),
               wanted = torch::autograd::grad({(want * w).sum()}, exact);
    for (size_t i = 0; i < grads.size(); ++i)
      EXPECT_TRUE(error(grads[i], wanted[i]) <= 1e-4) << step << " " << i;
    mean = mean * 0.9 + exact[0].detach().mean(at::IntArrayRef{0, 1, 2}) * 0.1;
    variance = variance * 0.9 + exact[0].detach().var(at::IntArrayRef{0, 1, 2}, false) * 0.1;
    EXPECT_TRUE(error(buffers["running_mean"], mean) <= 1e-6 &&
                error(buffers["running_var"], variance) <= 1e-5)
        << step;
  }
  // The averages, whatever the other pictures are.
  const at::NoGradGuard no_grad;
  const Tensor x = random({6, 2, 2, channels}, 30), y = norm.forward(x, /*training=*/false);
  std::vector<Tensor> exact;
  for (const char* name : kParams) exact.push_back(params[name].to(at::kDouble));
  EXPECT_TRUE(error(y, formula(x.to(at::kDouble), exact, {mean, variance})) <= 2e-5);
  EXPECT_TRUE(at::equal(norm.forward(x.narrow(0, 2, 1), false), y.narrow(0, 2, 1)));
  EXPECT_THROW(norm.forward(x.narrow(0, 0, 1), /*training=*/true), std::invalid_argument);
}

TEST(SwitchableNorm, BitsDoNotDependOnTheThreads) {
  const int before = at::get_num_threads();
  for (const int64_t channels : {3, 40}) {
    std::vector<std::vector<Tensor>> results;
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      SwitchableNorm norm(channels, kEps);
      set_random(norm);
      std::vector<Tensor> in = {random({64, 20, 20, channels}, 2).requires_grad_(true)};
      const Tensor y = norm.forward(in[0], /*training=*/true);
      for (const char* name : kParams) in.push_back(norm.named_parameters()[name]);
      results.push_back(torch::autograd::grad({y}, in, {random(y.sizes(), 3)}));
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

// A row is a picture of one position: the variance of the instance is 0.
TEST(SwitchableNorm, OfRows) {
  SwitchableNorm norm(4, kEps);
  const Tensor x = random({6, 4}, 1);
  const Tensor y = norm.forward(x, true);
  EXPECT_TRUE(at::equal(y, norm.forward(x.view({6, 1, 1, 4}), true).view({6, 4})));
}

}  // namespace
}  // namespace seednorm::lab
