// Derf for GPUs; see derf-inl.h.
#include "core/cuda/saturating.cuh"

namespace seednorm::derf {

struct DeviceFunction {
  template <class A>
  SEEDNORM_DEVICE static A value(A v) {
    return std::erf(v);
  }
  template <class A>
  SEEDNORM_DEVICE static A slope(A v) {
    return static_cast<A>(1.1283791670955126 /* 2 / sqrt(pi) */) * cuda::gauss(v);
  }
};

template <class T>
using GpuKernels = cuda::PolicyKernels<T, cuda::SaturatingForward<T, DeviceFunction>,
                                       cuda::SaturatingBackward<T, DeviceFunction, true>>;

}  // namespace seednorm::derf
