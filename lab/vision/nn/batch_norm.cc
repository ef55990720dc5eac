#include "lab/vision/nn/batch_norm.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include <stdexcept>

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// {y, mean, variance} of x [R, C] float32. Sums are those of columns, whose order no number of threads
// changes.
struct BatchNormFunction : torch::autograd::Function<BatchNormFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                               const Tensor& bias, double eps) {
    const Tensor mean = x.mean(0), normalized = x - mean;
    const Tensor variance = (normalized * normalized).mean(0), rstd = (variance + eps).rsqrt();
    normalized.mul_(rstd);
    ctx->save_for_backward({normalized, weight, rstd});
    ctx->mark_non_differentiable({mean, variance});
    return {at::addcmul(bias, normalized, weight), mean, variance};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &dy = grads[0], &normalized = saved[0], &weight = saved[1], &rstd = saved[2];
    const auto rows = static_cast<double>(dy.size(0));
    const Tensor dbias = dy.sum(0), dweight = (dy * normalized).sum(0);
    const Tensor dx = (dy - (dbias + normalized * dweight) / rows) * (weight * rstd);
    return {dx, dweight, dbias, Tensor()};
  }
};

}  // namespace

Tensor BatchNorm::forward(const Tensor& x, bool training) {
  const Tensor rows = x.reshape({-1, channels()}).to(at::kFloat);
  if (!training) {
    const Tensor gain = weight_ * (running_var_ + eps_).rsqrt();
    return at::addcmul(bias_, rows - running_mean_, gain).to(x.scalar_type()).view(x.sizes());
  }
  if (rows.size(0) < 2) throw std::invalid_argument("[batch_norm] norm: a batch needs two rows or more");
  const variable_list out = BatchNormFunction::apply(rows, weight_, bias_, eps_);
  {
    const at::NoGradGuard no_grad;
    const auto count = static_cast<double>(rows.size(0));
    running_mean_.lerp_(out[1], kMomentum);
    running_var_.lerp_(out[2] * (count / (count - 1)), kMomentum);
  }
  return out[0].to(x.scalar_type()).view(x.sizes());
}

}  // namespace seednorm::lab
