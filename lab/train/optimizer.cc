#include "lab/train/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <optional>
#include <stdexcept>

#include "lab/dist/gradient_norm.h"
#include "lab/nn/device.h"

namespace seednorm::lab {
namespace {

double decay_of(Role role, const TrainConfig& config) {
  switch (role) {
    case Role::kMatrix:
      return config.weight_decay;
    case Role::kDynamic:
      return config.decay_dynamic ? config.weight_decay : 0;
    case Role::kEmbedding:
      return config.decay_embedding ? config.weight_decay : 0;
    case Role::kGain:
      return config.decay_gain ? config.weight_decay : 0;
    case Role::kStatic:
      return 0;
  }
  throw std::logic_error("role");
}

std::vector<at::Tensor> tensors_of(const std::vector<ParamGroup>& groups) {
  std::vector<at::Tensor> out;
  for (const ParamGroup& g : groups) {
    for (const ParamInfo& p : g.params) out.push_back(p.tensor);
  }
  return out;
}

// Backward computes the gradients of the last matrices first, and completes those of norms and of a tied
// embedding at the end.
std::vector<size_t> order_of(const std::vector<ParamGroup>& groups) {
  std::vector<size_t> out;
  for (size_t g = 0, first = 0; g < groups.size(); first += groups[g++].params.size()) {
    for (size_t i = groups[g].params.size(); i-- > 0;) out.push_back(first + i);
  }
  return out;
}

std::vector<int64_t> sizes_of(const std::vector<at::Tensor>& tensors) {
  std::vector<int64_t> out;
  for (const at::Tensor& t : tensors) out.push_back(t.numel());
  return out;
}

}  // namespace

int64_t ParamGroup::num_elements() const {
  int64_t total = 0;
  for (const ParamInfo& p : params) total += p.tensor.numel();
  return total;
}

std::vector<ParamGroup> param_groups(const std::vector<ParamInfo>& params, const TrainConfig& config) {
  std::vector<ParamGroup> groups;
  for (const Role role : {Role::kMatrix, Role::kEmbedding, Role::kGain, Role::kDynamic, Role::kStatic}) {
    std::vector<double> scales;  // in the order in which they come up
    for (const ParamInfo& p : params) {
      if (p.role == role && std::find(scales.begin(), scales.end(), p.lr_scale) == scales.end())
        scales.push_back(p.lr_scale);
    }
    for (const double scale : scales) {
      ParamGroup& group = groups.emplace_back(ParamGroup{role, decay_of(role, config), scale, {}});
      for (const ParamInfo& p : params) {
        if (p.role == role && p.lr_scale == scale) group.params.push_back(p);
      }
    }
  }
  return groups;
}

std::string to_text(const std::vector<ParamGroup>& groups) {
  std::string out = "group        tensors      elements  weight decay\n";
  for (const ParamGroup& g : groups) {
    char line[96];
    std::snprintf(line, sizeof(line), "%-10s %9zu %13lld  %g", name_of(g.role), g.params.size(),
                  static_cast<long long>(g.num_elements()), g.weight_decay);
    out += line;
    if (g.lr_scale != 1) {
      std::snprintf(line, sizeof(line), "  (learning rate x %.4g)", g.lr_scale);
      out += line;
    }
    out += "\n";
  }
  return out;
}

AdamW::AdamW(std::vector<ParamGroup> groups, const TrainConfig& config, int rank, int ranks)
    : groups_(std::move(groups)),
      params_(tensors_of(groups_)),
      shards_(sizes_of(params_), order_of(groups_), ranks),
      beta1_(config.beta1),
      beta2_(config.beta2),
      eps_(config.adam_eps),
      grad_clip_(config.grad_clip) {
  for (size_t i = 0; i < params_.size(); ++i) {
    const Range range = shards_.range_of(i, rank);
    ranges_.push_back(range);
    const bool has_any = range.count() > 0, has_all = range.count() == params_[i].numel();
    const at::Tensor own =
        has_all ? params_[i].detach() : params_[i].detach().view(-1).narrow(0, range.begin, range.count());
    own_.push_back(has_any ? own : at::Tensor());
    exp_avg_.push_back(has_any ? at::zeros_like(own) : at::Tensor());
    exp_avg_sq_.push_back(has_any ? at::zeros_like(own) : at::Tensor());
    steps_.push_back(has_any ? at::zeros({}, params_[i].options()) : at::Tensor());
  }
}

at::Tensor AdamW::clip(const std::vector<at::Tensor>& gradients, const Group& group) const {
  const at::NoGradGuard no_grad;
  const bool in_order = uses_cpu_kernels(params_[0]);
  const at::Tensor norm = in_order ? gradient_norm(gradients, shards_, group)
                                   : fast_gradient_norm(gradients, params_[0].device(), group);
  if (grad_clip_ <= 0) return norm;
  std::vector<at::Tensor> all;
  std::copy_if(gradients.begin(), gradients.end(), std::back_inserter(all),
               [](const at::Tensor& g) { return g.defined(); });
  if (all.empty()) return norm;
  if (!in_order) {
    at::_foreach_mul_(all, at::clamp_max(grad_clip_ / norm, 1).to(at::kFloat));
  } else if (const double value = norm.item<double>(); value > grad_clip_) {
    at::_foreach_mul_(all, grad_clip_ / value);
  }
  return norm;
}

void AdamW::step(double lr, const std::vector<at::Tensor>& gradients, const at::Tensor& norm) {
  const at::NoGradGuard no_grad;
  std::optional<at::Tensor> skip;  // 1 if nothing is to change
  if (norm.defined()) skip = at::isfinite(norm).logical_not().to(at::kFloat);
  size_t i = 0;
  for (const ParamGroup& group : groups_) {
    std::vector<at::Tensor> params, with, exp_avg, exp_avg_sq, steps;
    for (size_t k = 0; k < group.params.size(); ++k, ++i) {
      if (!own_[i].defined() || !gradients[i].defined()) continue;
      params.push_back(own_[i]);
      with.push_back(gradients[i].view_as(own_[i]));
      exp_avg.push_back(exp_avg_[i]);
      exp_avg_sq.push_back(exp_avg_sq_[i]);
      steps.push_back(steps_[i]);
    }
    if (params.empty()) continue;
    at::_foreach_add_(steps, 1);
    if (skip) at::_foreach_sub_(steps, std::vector<at::Tensor>(steps.size(), *skip));
    at::_fused_adamw_(params, with, exp_avg, exp_avg_sq, {}, steps, lr * group.lr_scale, beta1_, beta2_,
                      group.weight_decay, eps_, /*amsgrad=*/false, /*maximize=*/false,
                      /*grad_scale=*/std::nullopt, skip);
  }
}

std::vector<AdamW::Slot> AdamW::state() const {
  std::vector<Slot> out;
  size_t i = 0;
  for (const ParamGroup& group : groups_) {
    for (const ParamInfo& p : group.params) {
      if (own_[i].defined()) {
        out.push_back({p.name + ".exp_avg", exp_avg_[i], ranges_[i], p.tensor.numel(), false});
        out.push_back({p.name + ".exp_avg_sq", exp_avg_sq_[i], ranges_[i], p.tensor.numel(), false});
        out.push_back({p.name + ".step", steps_[i], ranges_[i], p.tensor.numel(), true});
      }
      ++i;
    }
  }
  return out;
}

}  // namespace seednorm::lab
