// The feed-forward part of a block of ViT, ConvNeXt, MAE and DiT.
#ifndef SEEDNORM_LAB_VISION_NN_MLP_H_
#define SEEDNORM_LAB_VISION_NN_MLP_H_

#include <ATen/Functions.h>

#include <memory>

#include "lab/vision/nn/dense.h"

namespace seednorm::lab {

enum class Gelu {
  kExact,  // by the error function
  kTanh,   // its approximation, which DiT was trained with
};

// fc2(gelu(fc1(x))): x [..., D] -> [..., D]. Names are timm's.
class Mlp : public torch::nn::Module {
 public:
  Mlp(int64_t dim, int64_t hidden, Gelu gelu = Gelu::kExact) : gelu_(gelu) {
    fc1_ = register_module("fc1", std::make_shared<Dense>(dim, hidden));
    fc2_ = register_module("fc2", std::make_shared<Dense>(hidden, dim));
  }
  at::Tensor forward(const at::Tensor& x) const {
    return fc2_->forward(at::gelu(fc1_->forward(x), gelu_ == Gelu::kExact ? "none" : "tanh"));
  }

 private:
  Gelu gelu_;
  std::shared_ptr<Dense> fc1_, fc2_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_MLP_H_
