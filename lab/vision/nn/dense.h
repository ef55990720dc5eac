// A matrix with a bias.
#ifndef SEEDNORM_LAB_VISION_NN_DENSE_H_
#define SEEDNORM_LAB_VISION_NN_DENSE_H_

#include <torch/nn/module.h>

#include "lab/nn/role.h"

namespace seednorm::lab {

// y = x W^T + b in x's dtype: x [..., in] -> [..., out]. Both parameters are kept in float32.
class Dense : public torch::nn::Module, public HasRoles {
 public:
  Dense(int64_t in, int64_t out);
  at::Tensor forward(const at::Tensor& x) const;

  Role role(const std::string& name) const override { return name == "weight" ? Role::kMatrix : Role::kGain; }

  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out]
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_DENSE_H_
