// A convolution of each channel with a kernel of its own.
#ifndef SEEDNORM_LAB_VISION_NN_DEPTHWISE_CONV_H_
#define SEEDNORM_LAB_VISION_NN_DEPTHWISE_CONV_H_

#include <ATen/Functions.h>
#include <torch/nn/module.h>

#include "lab/nn/role.h"

namespace seednorm::lab {

// With a border of zeros, so that the sides stay: `kernel` is odd. Channels come last, in memory too.
class DepthwiseConv : public torch::nn::Module, public HasRoles {
 public:
  DepthwiseConv(int64_t channels, int64_t kernel)
      : weight(register_parameter("weight", at::empty({channels, 1, kernel, kernel}))),
        bias(register_parameter("bias", at::zeros({channels}))) {}

  // x [N, H, W, C] contiguous -> the same shape, contiguous.
  at::Tensor forward(const at::Tensor& x) const {
    const at::ScalarType dtype = x.scalar_type();
    return at::conv2d(x.permute({0, 3, 1, 2}), weight.to(dtype), bias.to(dtype), /*stride=*/1,
                      /*padding=*/weight.size(2) / 2, /*dilation=*/1, /*groups=*/weight.size(0))
        .permute({0, 2, 3, 1})
        .contiguous();  // no copy: the convolution keeps the order in memory
  }

  Role role(const std::string& name) const override { return name == "weight" ? Role::kMatrix : Role::kGain; }

  at::Tensor weight;  // [channels, 1, kernel, kernel]
  at::Tensor bias;    // [channels]
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_DEPTHWISE_CONV_H_
