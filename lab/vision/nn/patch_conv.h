// A convolution whose windows do not overlap: patch embeddings, ConvNeXt's stem and its downsampling.
#ifndef SEEDNORM_LAB_VISION_NN_PATCH_CONV_H_
#define SEEDNORM_LAB_VISION_NN_PATCH_CONV_H_

#include <torch/nn/module.h>

#include "lab/nn/role.h"

namespace seednorm::lab {

// Kernel and stride are both `patch`: one product of the patches with a matrix. Channels come last.
class PatchConv : public torch::nn::Module, public HasRoles {
 public:
  PatchConv(int64_t in, int64_t out, int64_t patch);
  // x [N, H, W, in] -> [N, H / patch, W / patch, out]; rows and columns that fill no patch are left out.
  at::Tensor forward(const at::Tensor& x) const;

  Role role(const std::string& name) const override { return name == "weight" ? Role::kMatrix : Role::kGain; }

  at::Tensor weight;  // [out, in, patch, patch], as files have it
  at::Tensor bias;    // [out]

 private:
  int64_t patch_;
};

// The patches of x [N, H, W, C] as rows [N, H / patch, W / patch, patch * patch * C], in the order (row,
// column, channel) within each.
at::Tensor patches_of(const at::Tensor& x, int64_t patch);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_PATCH_CONV_H_
