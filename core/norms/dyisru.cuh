// DyISRU for GPUs; see dyisru-inl.h.
#include "core/cuda/saturating.cuh"

namespace seednorm::dyisru {

struct DeviceFunction {
  template <class A>
  SEEDNORM_DEVICE static A root(A v) {
    return std::sqrt(std::fma(v, v, A{1}));
  }
  // From 1e9 on f rounds to 1; the limit keeps the square from overflowing, and NaN as it is.
  template <class A>
  SEEDNORM_DEVICE static A value(A v) {
    constexpr A kLimit = static_cast<A>(1e9);
    const A clamped = v > kLimit ? kLimit : v < -kLimit ? -kLimit : v;
    return clamped / root(clamped);
  }
  // Where the square overflows, the slope is below the smallest number.
  template <class A>
  SEEDNORM_DEVICE static A slope(A v) {
    const A r = 1 / root(v);
    return r * r * r;
  }
};

template <class T>
using GpuKernels = cuda::PolicyKernels<T, cuda::SaturatingForward<T, DeviceFunction>,
                                       cuda::SaturatingBackward<T, DeviceFunction, false>>;

}  // namespace seednorm::dyisru
