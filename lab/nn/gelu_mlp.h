// The feed-forward part of a block of a model of pictures.
#ifndef SEEDNORM_LAB_NN_GELU_MLP_H_
#define SEEDNORM_LAB_NN_GELU_MLP_H_

#include <ATen/core/Tensor.h>

#include "lab/nn/cpu/gelu_kernels.h"

namespace seednorm::lab {

struct GeluMlpWeights {
  at::Tensor up, up_bias, down, down_bias;  // [F, D], [F], [D, F], [D]
};

// gelu(x up^T + up_bias) down^T + down_bias: x [..., D] -> [..., D]. On the CPU it is one node of the graph,
// which keeps gelu's argument alone.
at::Tensor gelu_mlp(const at::Tensor& x, const GeluMlpWeights& weights, Gelu kind);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_GELU_MLP_H_
