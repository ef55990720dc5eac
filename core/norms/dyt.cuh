// DyT for GPUs; see dyt-inl.h.
#include "core/cuda/saturating.cuh"

namespace seednorm::dyt {

struct DeviceFunction {
  template <class A>
  SEEDNORM_DEVICE static A value(A v) {
    return std::tanh(v);
  }
  template <class A>
  SEEDNORM_DEVICE static A slope(A v) {
    return cuda::sech_squared(v);
  }
};

template <class T>
using GpuKernels = cuda::PolicyKernels<T, cuda::SaturatingForward<T, DeviceFunction>,
                                       cuda::SaturatingBackward<T, DeviceFunction, false>>;

}  // namespace seednorm::dyt
