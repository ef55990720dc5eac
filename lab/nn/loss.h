// The loss of a language model, without keeping all logits in memory.
#ifndef SEEDNORM_LAB_NN_LOSS_H_
#define SEEDNORM_LAB_NN_LOSS_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// scale times the sum over rows of -log softmax(h W^T)[target], a float32 scalar: hidden [R, D] in any dtype,
// weight [V, D] float32, targets [R] int64; rows with a negative target do not count. Logits, their softmax
// and, for gradients, their products are computed for a few rows at a time, so that memory is needed for
// kLossBytes x V bytes instead of R x V numbers. The products h W^T and their gradient have the dtype of
// product_dtype; everything else is float32 or more.
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                                double scale = 1);

// The same with the z-loss of PaLM (arXiv 2204.02311), which OLMo2 has: z_weight times the squared logarithm
// of the softmax's denominator is added to the loss of each row. Gradients are those of `total`.
struct LossWithZ {
  at::Tensor total;    // loss + z_weight z
  at::Tensor loss, z;  // the two sums, times scale; without gradients
};
LossWithZ linear_cross_entropy_with_z(const at::Tensor& hidden, const at::Tensor& weight,
                                      const at::Tensor& targets, double scale, double z_weight);

// Bytes for each number of the vocabulary: 512 rows of float32 are enough for efficient matrix products, but
// few enough for small logits. On other devices than the CPU products are so fast that the gradient of the
// weights, which is read and written once for each chunk, asks for more.
constexpr int64_t kLossBytes = 2048, kLossRowsElsewhere = 4096;

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_LOSS_H_
