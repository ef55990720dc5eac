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
void forward_on_gpu(const KernelArgs& args, int64_t rows, cuda::Stream stream) {
  cuda::run_forward<T, cuda::SaturatingForward<T, DeviceFunction>>(args, rows, stream);
}
template <class T>
void backward_on_gpu(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                     cuda::Stream stream) {
  cuda::run_backward<T, cuda::SaturatingBackward<T, DeviceFunction, false>>(args, rows, chunks, slots,
                                                                            stream);
}

}  // namespace seednorm::dyt
