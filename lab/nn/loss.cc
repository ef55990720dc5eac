#include "lab/nn/loss.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The gradient is known as soon as the loss is, up to the factor that arrives: it is taken in forward, where
// the logits are at hand.
struct LossFunction : torch::autograd::Function<LossFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& hidden, const Tensor& weight,
                        const Tensor& targets, bool with_grad) {
    const Tensor w = weight.to(hidden.scalar_type());
    Tensor dhidden = with_grad ? at::empty_like(hidden) : Tensor();
    Tensor dweight = with_grad ? at::zeros_like(weight) : Tensor();
    Tensor loss = at::zeros({}, at::kFloat);
    for (int64_t first = 0; first < hidden.size(0); first += kLossRows) {
      const int64_t rows = std::min(kLossRows, hidden.size(0) - first);
      const Tensor h = hidden.narrow(0, first, rows), target = targets.narrow(0, first, rows).unsqueeze(1);
      const Tensor counts = target.ge(0), index = target.clamp_min(0);
      const Tensor logits = at::mm(h, w.t()).to(at::kFloat);
      Tensor log_p = at::log_softmax(logits, -1);
      loss -= log_p.gather(1, index).masked_fill(counts.logical_not(), 0).sum();
      if (!with_grad) continue;
      Tensor dlogits = log_p.exp_();
      dlogits.scatter_add_(1, index, at::full_like(index, -1, at::kFloat));
      dlogits.mul_(counts);
      const Tensor d = dlogits.to(hidden.scalar_type());
      Tensor dh = dhidden.narrow(0, first, rows);
      at::mm_out(dh, d, w);
      if (hidden.scalar_type() == at::kFloat) {
        dweight.addmm_(d.t(), h);
      } else {
        dweight += at::mm(d.t(), h);
      }
    }
    ctx->save_for_backward({dhidden, dweight});
    return loss;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    return {saved[0] * grads[0].to(saved[0].scalar_type()), saved[1] * grads[0], Tensor(), Tensor()};
  }
};

}  // namespace

Tensor linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Tensor& targets) {
  const bool with_grad = at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  return LossFunction::apply(hidden, weight, targets, with_grad);
}

}  // namespace seednorm::lab
