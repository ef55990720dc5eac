#include "lab/nn/loss.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "lab/base/parallel.h"
#include "lab/nn/cpu/cross_entropy_kernel.h"
#include "lab/nn/cpu/multiply.h"
#include "lab/nn/cpu/products.h"
#include "lab/nn/device.h"
#include "lab/nn/dtype.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The sum of the cross entropies of rows of logits [R, V], which become their gradient if it is wanted.
double cross_entropy(const Tensor& logits, const Tensor& targets, bool with_grad) {
  const Tensor target = targets.contiguous();
  std::vector<double> losses(static_cast<size_t>(logits.size(0)));
  parallel_for(0, logits.size(0), 1, [&](int64_t begin, int64_t end) {
    cross_entropy_rows({.dtype = dtype_of(logits),
                        .rows = end - begin,
                        .classes = logits.size(1),
                        .logits = logits.narrow(0, begin, end - begin).mutable_data_ptr(),
                        .targets = target.const_data_ptr<int64_t>() + begin,
                        .losses = losses.data() + begin,
                        .gradients = with_grad});
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

// The same on other devices, where it is a tensor, and the gradient is a new one.
struct CrossEntropy {
  Tensor loss, dlogits;
};
CrossEntropy cross_entropy_elsewhere(const Tensor& logits, const Tensor& targets, bool with_grad) {
  const Tensor target = targets.unsqueeze(1), index = target.clamp_min(0);
  Tensor log_p = at::log_softmax(logits.to(at::kFloat), -1);
  const Tensor loss = -log_p.gather(1, index).masked_fill(target.lt(0), 0).sum();
  if (!with_grad) return {loss, Tensor()};
  Tensor dlogits = log_p.exp_();
  dlogits.scatter_add_(1, index, at::full_like(index, -1, at::kFloat));
  return {loss, dlogits.mul_(target.ge(0)).to(logits.scalar_type())};
}

// Up to the incoming factor, the gradient is known as soon as the loss is. It is computed in forward, where
// the logits are available.
struct LossFunction : torch::autograd::Function<LossFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& hidden, const Tensor& weight,
                        const Tensor& targets, double scale, bool with_grad) {
    const at::ScalarType dtype = product_dtype(hidden);
    const Tensor w = weight.to(dtype);
    Tensor dhidden = with_grad ? at::empty_like(hidden) : Tensor();
    Tensor dweight = with_grad ? at::zeros_like(weight) : Tensor();
    const bool on_cpu = uses_cpu_kernels(hidden);
    double total = 0;
    Tensor loss = at::zeros({}, hidden.options().dtype(at::kFloat));
    const int64_t chunk =
        on_cpu ? kLossBytes / static_cast<int64_t>(at::elementSize(dtype)) : kLossRowsElsewhere;
    Rows hidden_rows(hidden, dtype, chunk);
    std::optional<Rows> dhidden_rows;
    if (with_grad) dhidden_rows.emplace(dhidden, dtype, chunk);
    // All chunks share one buffer: a new one for each would mean new pages, which cost as much as a product.
    const int64_t most = std::min(chunk, hidden.size(0));
    const Tensor buffer = at::empty({most, weight.size(0)}, hidden.options().dtype(dtype));
    for (int64_t first = 0; first < hidden.size(0); first += chunk) {
      const int64_t rows = std::min(chunk, hidden.size(0) - first);
      const Tensor h = hidden_rows.read(first, rows);
      const Tensor target = targets.narrow(0, first, rows);
      Tensor d = buffer.narrow(0, 0, rows);
      multiply(d, h, w.t());
      if (on_cpu) {
        total += cross_entropy(d, target, with_grad);
      } else {
        const CrossEntropy out = cross_entropy_elsewhere(d, target, with_grad);
        loss += out.loss;
        d = out.dlogits;
      }
      if (!with_grad) continue;
      Tensor dh = dhidden_rows->target(first, rows);
      multiply(dh, d, w, scale);
      dhidden_rows->store(first, rows);
      if (dtype == weight.scalar_type()) {
        multiply(dweight, d.t(), h, scale, /*keep=*/first == 0 ? 0 : 1);
      } else {
        const Tensor part = at::empty(weight.sizes(), d.options());
        multiply(part, d.t(), h);
        dweight.add_(part, scale);
      }
    }
    ctx->save_for_backward({dhidden, dweight});
    if (on_cpu) loss.fill_(total);
    return loss.mul_(scale);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    // This is usually the end of the graph, where the factor is 1. To know it of another device than the CPU,
    // the device would have to be waited for.
    if (uses_cpu_kernels(grads[0]) && grads[0].item<float>() == 1)
      return {saved[0], saved[1], Tensor(), Tensor(), Tensor()};
    return {saved[0] * grads[0].to(saved[0].scalar_type()), saved[1] * grads[0], Tensor(), Tensor(),
            Tensor()};
  }
};

}  // namespace

Tensor linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Tensor& targets, double scale) {
  const bool with_grad = at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  return LossFunction::apply(hidden, weight, targets, scale, with_grad);
}

}  // namespace seednorm::lab
