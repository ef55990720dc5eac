#include "lab/language/models/recompute.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Call {
  Block* block;
  const Rope* rope;
  bool losses;
};

// The defined tensors among x, delta, balance, router_z; `defined` tells which they are.
variable_list run(const Call& call, const Stream& in, std::vector<bool>* defined) {
  std::vector<AuxiliaryLoss> losses;
  const Stream out = call.block->forward(in, {*call.rope}, call.losses ? &losses : nullptr);
  variable_list all = {out.x, out.delta};
  if (!losses.empty()) all.insert(all.end(), {losses[0].balance, losses[0].router_z});
  variable_list kept;
  for (const Tensor& t : all) {
    if (defined != nullptr) defined->push_back(t.defined());
    if (t.defined()) kept.push_back(t);
  }
  return kept;
}

struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const std::optional<Tensor>& delta,
                               const Call& call, std::vector<bool>* defined) {
    ctx->save_for_backward({x, delta.value_or(Tensor())});
    ctx->saved_data["block"] = reinterpret_cast<int64_t>(call.block);
    ctx->saved_data["rope"] = reinterpret_cast<int64_t>(call.rope);
    ctx->saved_data["losses"] = call.losses;
    return run(call, {x, delta.value_or(Tensor())}, defined);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const Call call = {reinterpret_cast<Block*>(ctx->saved_data["block"].toInt()),
                       reinterpret_cast<const Rope*>(ctx->saved_data["rope"].toInt()),
                       ctx->saved_data["losses"].toBool()};
    variable_list in = ctx->get_saved_variables();
    for (Tensor& t : in) {
      if (t.defined()) t = t.detach().requires_grad_(true);
    }
    {
      const at::AutoGradMode with_grad(true);
      const variable_list out = run(call, {in[0], in[1]}, nullptr);
      torch::autograd::backward(out, grads);  // parameters' gradients are accumulated where they belong
    }
    return {in[0].grad(), in[1].defined() ? in[1].grad() : Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Stream checkpointed(Block& block, const Stream& in, const Rope& rope, std::vector<AuxiliaryLoss>* losses) {
  std::vector<bool> defined;
  const Call call = {&block, &rope, losses != nullptr};
  const std::optional<Tensor> delta = in.delta.defined() ? std::optional(in.delta) : std::nullopt;
  const variable_list kept = CheckpointFunction::apply(in.x, delta, call, &defined);
  std::vector<Tensor> all(4);
  for (size_t i = 0, next = 0; i < defined.size(); ++i) {
    if (defined[i]) all[i] = kept[next++];
  }
  if (defined.size() == 4) losses->push_back({all[2], all[3]});
  return {all[0], all[1]};
}

}  // namespace seednorm::lab
