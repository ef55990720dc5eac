// A parameter of a model as the optimizer sees it.
#ifndef SEEDNORM_LAB_NN_PARAM_INFO_H_
#define SEEDNORM_LAB_NN_PARAM_INFO_H_

#include <torch/nn/module.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "lab/nn/role.h"

namespace seednorm::lab {

struct ParamInfo {
  std::string name;  // as in the state dictionary
  at::Tensor tensor;
  Role role;
  double lr_scale = 1;  // factor on the learning rate: layer decay
};

// Every parameter of `root` once, its own first, in the order in which modules were registered. Errors
// (std::logic_error): a module with parameters of its own does not derive from HasRoles.
inline std::vector<ParamInfo> params_of(const torch::nn::Module& root) {
  std::vector<ParamInfo> out;
  const auto add = [&](const std::string& prefix, const torch::nn::Module& module) {
    const auto* roles = dynamic_cast<const HasRoles*>(&module);
    for (const auto& p : module.named_parameters(/*recurse=*/false)) {
      if (roles == nullptr) throw std::logic_error(prefix + p.key() + ": a parameter without a role");
      out.push_back({prefix + p.key(), p.value(), roles->role(p.key())});
    }
  };
  add("", root);
  for (const auto& module : root.named_modules({}, /*include_self=*/false)) {
    add(module.key() + ".", *module.value());
  }
  return out;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_PARAM_INFO_H_
