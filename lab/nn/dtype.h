// Tensors' dtypes in the core's terms.
#ifndef SEEDNORM_LAB_NN_DTYPE_H_
#define SEEDNORM_LAB_NN_DTYPE_H_

#include <ATen/core/Tensor.h>

#include <stdexcept>
#include <string>

#include "seednorm/dtype.h"

namespace seednorm::lab {

// Errors (std::invalid_argument): not a floating-point type of the core.
inline DType dtype_of(const at::Tensor& t) {
  switch (t.scalar_type()) {
    case at::kFloat:
      return DType::kFloat32;
    case at::kBFloat16:
      return DType::kBFloat16;
    case at::kHalf:
      return DType::kFloat16;
    case at::kDouble:
      return DType::kFloat64;
    default:
      throw std::invalid_argument("norm: expected float data, got " + std::string(t.dtype().name()));
  }
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_DTYPE_H_
