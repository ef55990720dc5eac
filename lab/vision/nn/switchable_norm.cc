#include "lab/vision/nn/switchable_norm.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <stdexcept>

namespace seednorm::lab {

using at::Tensor;

SwitchableNorm::SwitchableNorm(int64_t channels, double eps)
    : BatchStatisticsNorm("switchable_norm", channels, eps),
      mean_weight_(register_parameter("mean_weight", at::ones({3}))),
      var_weight_(register_parameter("var_weight", at::ones({3}))) {}

Tensor SwitchableNorm::forward(const Tensor& x, bool training) {
  if (training && x.size(0) < 2) {
    throw std::invalid_argument("[switchable_norm] norm: a batch needs two pictures or more");
  }
  const Tensor positions = x.reshape({x.size(0), -1, channels()}).to(at::kFloat);  // [N, P, C]
  const Tensor mean = positions.mean(1, /*keepdim=*/true),
               variance = (positions - mean).square().mean(1, true);
  // Each is the mean of what it has, and of how far that is from its own mean.
  const auto over = [&](int64_t dim) {
    const Tensor center = mean.mean(dim, true);
    return std::pair{center, variance.mean(dim, true) + (mean - center).square().mean(dim, true)};
  };
  const auto [layer_mean, layer_variance] = over(2);
  auto [batch_mean, batch_variance] = training ? over(0) : std::pair{running_mean_, running_var_};
  if (training) {
    const at::NoGradGuard no_grad;
    running_mean_.lerp_(batch_mean.flatten(), kMomentum);
    running_var_.lerp_(batch_variance.flatten(), kMomentum);
  }
  const Tensor w = at::softmax(mean_weight_, 0), v = at::softmax(var_weight_, 0);
  const Tensor center = w[0] * mean + w[1] * layer_mean + w[2] * batch_mean;
  const Tensor spread = v[0] * variance + v[1] * layer_variance + v[2] * batch_variance;
  const Tensor y = (positions - center) * (weight_ * (spread + eps_).rsqrt()) + bias_;
  return y.to(x.scalar_type()).view(x.sizes());
}

}  // namespace seednorm::lab
