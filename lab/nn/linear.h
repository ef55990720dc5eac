// A linear layer without bias.
#ifndef SEEDNORM_LAB_NN_LINEAR_H_
#define SEEDNORM_LAB_NN_LINEAR_H_

#include <ATen/Functions.h>
#include <torch/nn/module.h>

#include "lab/nn/cpu/products.h"
#include "lab/nn/role.h"

namespace seednorm::lab {

// y = x W^T in x's dtype: x [..., in] -> [..., out]. W is kept in float32 (the master weights).
class Linear : public torch::nn::Module, public HasRoles {
 public:
  Linear(int64_t in, int64_t out) : weight(register_parameter("weight", at::empty({out, in}))) {}
  at::Tensor forward(const at::Tensor& x) const { return product(x, weight); }

  Role role(const std::string&) const override { return Role::kMatrix; }

  at::Tensor weight;  // [out, in]
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_LINEAR_H_
