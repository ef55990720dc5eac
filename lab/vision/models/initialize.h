// Initial values that models of pictures share.
#ifndef SEEDNORM_LAB_VISION_MODELS_INITIALIZE_H_
#define SEEDNORM_LAB_VISION_MODELS_INITIALIZE_H_

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "lab/nn/initial.h"
#include "lab/nn/norm_layer.h"
#include "lab/nn/param_info.h"

namespace seednorm::lab {

inline void fill_normal(const ParamInfo& p, double std, uint64_t seed) {
  at::Tensor(p.tensor).normal_(0, std, generator_of(seed, p.name));
}

// Xavier's uniform distribution of a matrix [out, in], or of a convolution as a matrix of its patches.
inline void fill_xavier(const ParamInfo& p, uint64_t seed) {
  const auto out = static_cast<double>(p.tensor.size(0)), in = static_cast<double>(p.tensor[0].numel());
  const double bound = std::sqrt(6 / (in + out));
  at::Tensor(p.tensor).uniform_(-bound, bound, generator_of(seed, p.name));
}

// Every norm of a model with its name, in the order in which modules were registered.
inline std::vector<std::pair<std::string, NormLayer*>> norms_of(const torch::nn::Module& root) {
  std::vector<std::pair<std::string, NormLayer*>> out;
  for (const auto& module : root.named_modules({}, /*include_self=*/false)) {
    if (auto* norm = dynamic_cast<NormLayer*>(module.value().get())) out.emplace_back(module.key(), norm);
  }
  return out;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MODELS_INITIALIZE_H_
