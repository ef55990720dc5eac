// Products and gates of a few rows without gradients, for generation. A row's result does not depend on the
// other rows, bit for bit, and the products run near the speed of the memory, where ATen's reach half of it
// (bench/results/2026-11-22-generate.md).
#ifndef SEEDNORM_LAB_NN_CPU_FEW_ROWS_H_
#define SEEDNORM_LAB_NN_CPU_FEW_ROWS_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// The maximum number of rows; for more rows ATen's products are faster.
inline constexpr int64_t kFewRows = 16;

// Whether x [..., in] has at most kFewRows rows and can be multiplied with this matrix here: both have the
// same dtype, float32 or bfloat16, and are on the CPU, and no gradients are needed.
bool are_few_rows(const at::Tensor& x, const at::Tensor& weight);

// x W^T: x [..., in], weight [out, in] -> [..., out], for few rows.
at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight);

// silu(gate) up, of the same shape, for few rows.
at::Tensor few_rows_gated(const at::Tensor& gate, const at::Tensor& up);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_FEW_ROWS_H_
