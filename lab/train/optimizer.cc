#include "lab/train/optimizer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

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

AdamW::AdamW(std::vector<ParamGroup> groups, const TrainConfig& config)
    : groups_(std::move(groups)),
      beta1_(config.beta1),
      beta2_(config.beta2),
      eps_(config.adam_eps),
      grad_clip_(config.grad_clip) {
  for (const ParamGroup& g : groups_) {
    Slots& s = slots_.emplace_back();
    for (const ParamInfo& p : g.params) {
      s.params.push_back(p.tensor);
      s.exp_avg.push_back(at::zeros_like(p.tensor));
      s.exp_avg_sq.push_back(at::zeros_like(p.tensor));
      s.steps.push_back(at::zeros({}, at::kFloat));
    }
  }
}

double AdamW::clip() {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  for (const Slots& s : slots_) {
    for (const at::Tensor& p : s.params) {
      if (p.grad().defined()) gradients.push_back(p.grad());
    }
  }
  // Squares are summed in double: a float32 sum over all parameters of a model would lose digits.
  double squares = 0;
  for (const at::Tensor& g : gradients) {
    const double norm = at::linalg_vector_norm(g, 2).item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  if (grad_clip_ > 0 && norm > grad_clip_) at::_foreach_mul_(gradients, grad_clip_ / norm);
  return norm;
}

void AdamW::step(double lr) {
  const at::NoGradGuard no_grad;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Slots& s = slots_[g];
    std::vector<at::Tensor> params, gradients, exp_avg, exp_avg_sq, steps;
    for (size_t i = 0; i < s.params.size(); ++i) {
      if (!s.params[i].grad().defined()) continue;
      params.push_back(s.params[i]);
      gradients.push_back(s.params[i].grad());
      exp_avg.push_back(s.exp_avg[i]);
      exp_avg_sq.push_back(s.exp_avg_sq[i]);
      steps.push_back(s.steps[i]);
    }
    if (params.empty()) continue;
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(params, gradients, exp_avg, exp_avg_sq, {}, steps, lr * groups_[g].lr_scale, beta1_,
                      beta2_, groups_[g].weight_decay, eps_, /*amsgrad=*/false, /*maximize=*/false);
  }
}

void AdamW::zero_grad() {
  for (const Slots& s : slots_) {
    for (at::Tensor p : s.params) p.mutable_grad().reset();
  }
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t i = 0; i < slots_[g].params.size(); ++i) {
      const std::string& name = groups_[g].params[i].name;
      out.emplace_back(name + ".exp_avg", slots_[g].exp_avg[i]);
      out.emplace_back(name + ".exp_avg_sq", slots_[g].exp_avg_sq[i]);
      out.emplace_back(name + ".step", slots_[g].steps[i]);
    }
  }
  return out;
}

}  // namespace seednorm::lab
