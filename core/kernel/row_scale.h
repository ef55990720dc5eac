// The scalar mathematics of a row's scale, with the same source for CPUs and GPUs. Only computations that
// happen once per row can be shared: Highway's policies compute with vectors, a GPU's threads with single
// numbers.
#ifndef SEEDNORM_CORE_KERNEL_ROW_SCALE_H_
#define SEEDNORM_CORE_KERNEL_ROW_SCALE_H_

#include <cmath>

#include "core/kernel/host_device.h"

namespace seednorm {

// 1 / RMS(x). In its derivative the factor of sum_i g_i gamma_i x_i is rstd^3 / D.
struct RmsScale {
  template <class A>
  SEEDNORM_HOST_DEVICE static A scale(A sum_of_squares, A dim, A eps) {
    return 1 / std::sqrt(sum_of_squares / dim + eps);
  }
  template <class A>
  SEEDNORM_HOST_DEVICE static A pull(A scale, A sum, A dim, A) {
    return sum / dim * scale * scale * scale;
  }
};

// 1 / max(|x|, eps), |x| the Euclidean norm; below eps it does not depend on x.
struct LengthScale {
  template <class A>
  SEEDNORM_HOST_DEVICE static A scale(A sum_of_squares, A, A eps) {
    const A length = std::sqrt(sum_of_squares);
    return 1 / (length < eps ? eps : length);  // keeps NaN
  }
  template <class A>
  SEEDNORM_HOST_DEVICE static A pull(A scale, A sum, A, A eps) {
    return scale == 1 / eps ? A{0} : sum * scale * scale * scale;
  }
};

}  // namespace seednorm

#endif  // SEEDNORM_CORE_KERNEL_ROW_SCALE_H_
