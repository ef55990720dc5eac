// The feed-forward part of a block of ViT, ConvNeXt, MAE and DiT.
#ifndef SEEDNORM_LAB_VISION_NN_MLP_H_
#define SEEDNORM_LAB_VISION_NN_MLP_H_

#include <memory>

#include "lab/nn/gelu_mlp.h"
#include "lab/vision/nn/dense.h"

namespace seednorm::lab {

// fc2(gelu(fc1(x))): x [..., D] -> [..., D]. Names are timm's.
class Mlp : public torch::nn::Module {
 public:
  Mlp(int64_t dim, int64_t hidden, Gelu gelu = Gelu::kExact) : gelu_(gelu) {
    fc1_ = register_module("fc1", std::make_shared<Dense>(dim, hidden));
    fc2_ = register_module("fc2", std::make_shared<Dense>(hidden, dim));
  }
  at::Tensor forward(const at::Tensor& x) const {
    return gelu_mlp(x, {fc1_->weight, fc1_->bias, fc2_->weight, fc2_->bias}, gelu_);
  }
  // The same, times `scale` [D]: its product with fc2's weights is smaller than one with the result.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& scale) const {
    return gelu_mlp(x, {fc1_->weight, fc1_->bias, fc2_->weight * scale.unsqueeze(1), fc2_->bias * scale},
                    gelu_);
  }

 private:
  Gelu gelu_;
  std::shared_ptr<Dense> fc1_, fc2_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_MLP_H_
