#include "lab/train/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "lab/dist/gradient_norm.h"
#include "lab/nn/device.h"
#include "lab/train/muon.h"

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

// Whether the name is that of a block's parameter: it has a numbered member of a list of blocks, as in
// model.layers.3.mlp.up_proj.weight, stages.0.blocks.1.mlp.fc1.weight or decoder_blocks.0.attn.qkv.weight.
bool is_in_block(std::string_view name) {
  for (const std::string_view list : {"layers.", "blocks."}) {
    for (size_t at = name.find(list); at != name.npos; at = name.find(list, at + 1)) {
      const size_t number = at + list.size();
      if (number < name.size() && std::isdigit(static_cast<unsigned char>(name[number]))) return true;
    }
  }
  return false;
}

Method method_of(const ParamInfo& p, const TrainConfig& config) {
  const bool is_matrix = p.role == Role::kMatrix && (p.tensor.dim() == 2 || p.tensor.dim() == 3);
  return config.optimizer == Method::kMuon && is_matrix && is_in_block(p.name) ? Method::kMuon
                                                                               : Method::kAdamW;
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

std::vector<bool> are_whole(const std::vector<ParamGroup>& groups) {
  std::vector<bool> out;
  for (const ParamGroup& g : groups) out.insert(out.end(), g.params.size(), g.method == Method::kMuon);
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
    const size_t first = groups.size();  // of this role, in the order in which they come up
    for (const ParamInfo& p : params) {
      if (p.role != role) continue;
      const Method method = method_of(p, config);
      const auto group =
          std::find_if(groups.begin() + static_cast<std::ptrdiff_t>(first), groups.end(),
                       [&](const ParamGroup& g) { return g.method == method && g.lr_scale == p.lr_scale; });
      if (group != groups.end()) {
        group->params.push_back(p);
      } else {
        groups.push_back({role, method, decay_of(role, config), p.lr_scale, {p}});
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
    if (g.method == Method::kMuon) out += "  by Muon";
    if (g.lr_scale != 1) {
      std::snprintf(line, sizeof(line), "  (learning rate x %.4g)", g.lr_scale);
      out += line;
    }
    out += "\n";
  }
  return out;
}

double bytes_per_rank(const std::vector<ParamGroup>& groups, int ranks) {
  constexpr double kBytes = 4;
  double bytes = 0;
  for (const ParamGroup& g : groups) {
    bytes +=
        kBytes * (2 + static_cast<double>(g.num_moments()) / ranks) * static_cast<double>(g.num_elements());
  }
  return bytes;
}

Optimizer::Optimizer(std::vector<ParamGroup> groups, const TrainConfig& config, int rank, int ranks)
    : groups_(std::move(groups)),
      params_(tensors_of(groups_)),
      shards_(sizes_of(params_), order_of(groups_), ranks, are_whole(groups_)),
      beta1_(config.beta1),
      beta2_(config.beta2),
      eps_(config.adam_eps),
      grad_clip_(config.grad_clip) {
  size_t i = 0;
  for (const ParamGroup& group : groups_) {
    for (size_t k = 0; k < group.params.size(); ++k, ++i) {
      const Range range = shards_.range_of(i, rank);
      const bool has_any = range.count() > 0, has_all = range.count() == params_[i].numel();
      const at::Tensor own =
          has_all ? params_[i].detach() : params_[i].detach().view(-1).narrow(0, range.begin, range.count());
      const bool is_adamw = has_any && group.method == Method::kAdamW;
      ranges_.push_back(range);
      own_.push_back(has_any ? own : at::Tensor());
      exp_avg_.push_back(has_any ? at::zeros_like(own) : at::Tensor());
      exp_avg_sq_.push_back(is_adamw ? at::zeros_like(own) : at::Tensor());
      steps_.push_back(is_adamw ? at::zeros({}, params_[i].options()) : at::Tensor());
    }
  }
}

at::Tensor Optimizer::clip(const std::vector<at::Tensor>& gradients, const Group& group) const {
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

void Optimizer::step(double lr, const std::vector<at::Tensor>& gradients, const at::Tensor& norm) {
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
    if (group.method == Method::kMuon) {
      for (size_t k = 0; k < params.size(); ++k)
        muon_step(params[k], with[k], exp_avg[k], lr * group.lr_scale, group.weight_decay, skip);
      continue;
    }
    at::_foreach_add_(steps, 1);
    if (skip) at::_foreach_sub_(steps, std::vector<at::Tensor>(steps.size(), *skip));
    at::_fused_adamw_(params, with, exp_avg, exp_avg_sq, {}, steps, lr * group.lr_scale, beta1_, beta2_,
                      group.weight_decay, eps_, /*amsgrad=*/false, /*maximize=*/false,
                      /*grad_scale=*/std::nullopt, skip);
  }
}

std::vector<Optimizer::Slot> Optimizer::state() const {
  std::vector<Slot> out;
  size_t i = 0;
  for (const ParamGroup& group : groups_) {
    for (const ParamInfo& p : group.params) {
      const auto add = [&](const char* name, const at::Tensor& tensor, bool is_step) {
        if (tensor.defined()) out.push_back({p.name + name, tensor, ranges_[i], p.tensor.numel(), is_step});
      };
      add(group.method == Method::kMuon ? ".momentum" : ".exp_avg", exp_avg_[i], false);
      add(".exp_avg_sq", exp_avg_sq_[i], false);
      add(".step", steps_[i], true);
      ++i;
    }
  }
  return out;
}

size_t Optimizer::num_slots() const {
  size_t out = 0;
  for (const ParamGroup& g : groups_) out += g.params.size() * (g.method == Method::kMuon ? 1 : 3);
  return out;
}

}  // namespace seednorm::lab
