// Products and gates of a few rows without gradients: what generation is made of. A row's result is bitwise
// the same whatever the other rows, and the products are near the memory's speed where ATen's are at half of
// it (bench/results/2026-11-22-generate.md).
#ifndef SEEDNORM_LAB_NN_CPU_FEW_ROWS_H_
#define SEEDNORM_LAB_NN_CPU_FEW_ROWS_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// From so many rows on, ATen's products are faster.
inline constexpr int64_t kFewRows = 16;

// Whether x [..., in] is at most kFewRows rows that can be multiplied here with a matrix like this one: of
// the same dtype, float32 or bfloat16, on the CPU, and without gradients.
bool are_few_rows(const at::Tensor& x, const at::Tensor& weight);

// x W^T: x [..., in], weight [out, in] -> [..., out], for few rows.
at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight);

// silu(gate) up, of the same shape, for few rows.
at::Tensor few_rows_gated(const at::Tensor& gate, const at::Tensor& up);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_FEW_ROWS_H_
