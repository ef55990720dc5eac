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
void forward_on_gpu(const KernelArgs& args, int64_t rows, cuda::Stream stream) {
  cuda::run_forward<T, cuda::SaturatingForward<T, DeviceFunction>>(args, rows, stream);
}
template <class T>
void backward_on_gpu(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                     cuda::Stream stream) {
  cuda::run_backward<T, cuda::SaturatingBackward<T, DeviceFunction, true>>(args, rows, chunks, slots, stream);
}

}  // namespace seednorm::derf
