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
};

// Every parameter of `root` once, in the order in which modules were registered. Errors
// (std::logic_error): a module with parameters of its own does not derive from HasRoles.
inline std::vector<ParamInfo> params_of(const torch::nn::Module& root) {
  std::vector<ParamInfo> out;
  for (const auto& module : root.named_modules({}, /*include_self=*/false)) {
    const auto* roles = dynamic_cast<const HasRoles*>(module.value().get());
    for (const auto& p : module.value()->named_parameters(/*recurse=*/false)) {
      if (roles == nullptr) throw std::logic_error(module.key() + ": parameters without roles");
      out.push_back({module.key() + "." + p.key(), p.value(), roles->role(p.key())});
    }
  }
  return out;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_PARAM_INFO_H_
