// Each norm's formula in plain tensors, differentiable by libtorch, for devices that the core has no kernels
// for.
#ifndef SEEDNORM_LAB_NN_NORM_FORMULA_H_
#define SEEDNORM_LAB_NN_NORM_FORMULA_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "seednorm/norm.h"

namespace seednorm::lab {

// The source of random numbers for dropout of the dynamic coefficient.
struct DropoutDraws {
  uint64_t seed = 0, offset = 0;
};

// y = norm(x) over the last dimension of x [..., D], in x's dtype, as seednorm::Norm::forward computes it up
// to the rounding of sums: they are float32 (float64 for float64 data), and y is rounded once. A condition
// [N, D] belongs to x [N, ..., D]. Dropout acts if `dropout` is given, with the mask of the core.
at::Tensor norm_formula(const Norm& norm, const at::Tensor& x, const ParamSet<at::Tensor>& params,
                        const std::optional<DropoutDraws>& dropout);

// u = sigma(z).
at::Tensor sigma_of(Sigma sigma, const at::Tensor& z);

// The factors [rows, dim] of dropout with this probability, of dtype and device of `options`: 0 or
// 1 / (1 - probability), by the bits of seednorm::dropout_bits.
at::Tensor dropout_factors(int64_t rows, int64_t dim, double probability, const DropoutDraws& draws,
                           const at::TensorOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_NORM_FORMULA_H_
