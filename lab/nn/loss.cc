#include "lab/nn/loss.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <stdexcept>
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

// The same on other devices, and with a z-loss, where it is a tensor, and the gradient is a new one.
struct CrossEntropy {
  Tensor loss, z;  // z only with a z-loss
  Tensor dlogits;
};
CrossEntropy cross_entropy_elsewhere(const Tensor& logits, const Tensor& targets, double z_weight,
                                     bool with_grad) {
  const Tensor target = targets.unsqueeze(1), index = target.clamp_min(0), is_out = target.lt(0);
  const Tensor wide = logits.to(at::kFloat);
  Tensor log_p = at::log_softmax(wide, -1);
  CrossEntropy out = {.loss = -log_p.gather(1, index).masked_fill(is_out, 0).sum(), .z = {}, .dlogits = {}};
  const Tensor log_sum = z_weight == 0 ? Tensor() : at::logsumexp(wide, -1, /*keepdim=*/true);
  if (log_sum.defined()) out.z = log_sum.square().masked_fill(is_out, 0).sum();
  if (!with_grad) return out;
  Tensor dlogits = log_p.exp_();
  if (log_sum.defined()) dlogits.mul_(1 + 2 * z_weight * log_sum);
  dlogits.scatter_add_(1, index, at::full_like(index, -1, at::kFloat));
  out.dlogits = dlogits.mul_(target.ge(0)).to(logits.scalar_type());
  return out;
}

// Up to the incoming factor, the gradient is known as soon as the loss is. It is computed in forward, where
// the logits are available.
// Outputs {total} or, with a z-loss, {total, loss, z}.
struct LossFunction : torch::autograd::Function<LossFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& hidden, const Tensor& weight,
                               const Tensor& targets, double scale, double z_weight, bool with_grad) {
    const at::ScalarType dtype = product_dtype(hidden);
    const Tensor w = weight.to(dtype);
    Tensor dhidden = with_grad ? at::empty_like(hidden) : Tensor();
    Tensor dweight = with_grad ? at::zeros_like(weight) : Tensor();
    const bool on_cpu = uses_cpu_kernels(hidden), by_kernel = on_cpu && z_weight == 0;
    double total = 0;
    Tensor loss = at::zeros({}, hidden.options().dtype(at::kFloat));
    Tensor z = z_weight == 0 ? Tensor() : at::zeros_like(loss);
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
      if (by_kernel) {
        total += cross_entropy(d, target, with_grad);
      } else {
        const CrossEntropy out = cross_entropy_elsewhere(d, target, z_weight, with_grad);
        loss += out.loss;
        if (z.defined()) z += out.z;
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
    if (by_kernel) loss.fill_(total);
    loss.mul_(scale);
    if (!z.defined()) return {loss};
    z.mul_(scale);
    ctx->mark_non_differentiable({loss, z});
    return {loss + z_weight * z, loss, z};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    // This is usually the end of the graph, where the factor is 1. To know it of another device than the CPU,
    // the device would have to be waited for.
    if (uses_cpu_kernels(grads[0]) && grads[0].item<float>() == 1)
      return {saved[0], saved[1], Tensor(), Tensor(), Tensor(), Tensor()};
    return {saved[0] * grads[0].to(saved[0].scalar_type()),
            saved[1] * grads[0],
            Tensor(),
            Tensor(),
            Tensor(),
            Tensor()};
  }
};

bool wants_grad(const Tensor& hidden, const Tensor& weight) {
  return at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Tensor& targets, double scale) {
  return LossFunction::apply(hidden, weight, targets, scale, /*z_weight=*/0.0, wants_grad(hidden, weight))[0];
}

LossWithZ linear_cross_entropy_with_z(const Tensor& hidden, const Tensor& weight, const Tensor& targets,
                                      double scale, double z_weight) {
  if (z_weight == 0) throw std::invalid_argument("z_weight: expected another number than 0");
  const variable_list out =
      LossFunction::apply(hidden, weight, targets, scale, z_weight, wants_grad(hidden, weight));
  return {out[0], out[1], out[2]};
}

}  // namespace seednorm::lab
