#include "lab/train/weight_average.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>

namespace seednorm::lab {

WeightAverage::WeightAverage(const std::vector<ParamInfo>& params, const AverageConfig& config)
    : config_(config) {
  for (const ParamInfo& p : params) {
    names_.push_back(p.name);
    weights_.push_back(p.tensor);
    averages_.push_back(p.tensor.detach().clone());
  }
}

double WeightAverage::decay_at(int64_t step) const {
  if (!config_.warmup) return config_.decay;
  return std::min(config_.decay, 1 - std::pow(1 + static_cast<double>(step), -2.0 / 3));
}

// The model may have moved to another device since.
void WeightAverage::follow_weights() {
  for (size_t i = 0; i < weights_.size(); ++i) averages_[i] = averages_[i].to(weights_[i].device());
}

void WeightAverage::update(int64_t step) {
  const at::NoGradGuard no_grad;
  follow_weights();
  at::_foreach_lerp_(averages_, weights_, 1 - decay_at(step));
}

void WeightAverage::swap() {
  follow_weights();
  for (size_t i = 0; i < weights_.size(); ++i) {
    const at::Tensor weight = weights_[i].detach();
    weights_[i].set_data(averages_[i]);
    averages_[i] = weight;
  }
}

std::vector<std::pair<std::string, at::Tensor>> WeightAverage::state() const {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (size_t i = 0; i < names_.size(); ++i) out.emplace_back(names_[i], averages_[i]);
  return out;
}

}  // namespace seednorm::lab
