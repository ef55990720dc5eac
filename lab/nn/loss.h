// The loss of a language model without its logits in memory.
#ifndef SEEDNORM_LAB_NN_LOSS_H_
#define SEEDNORM_LAB_NN_LOSS_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// scale times the sum over rows of -log softmax(h W^T)[target], a float32 scalar: hidden [R, D] in any dtype,
// weight [V, D] float32, targets [R] int64, of which negative ones do not count. Logits, their softmax and,
// when gradients are wanted, their products are made for a few rows at a time: memory for kLossRows x V
// numbers instead of R x V. The products h W^T are taken as product_dtype says, everything else in float32.
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                                double scale = 1);

// As many as keep matrix products efficient while their logits stay small.
constexpr int64_t kLossRows = 512;

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_LOSS_H_
