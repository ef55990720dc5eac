// RMSNorm for GPUs; see rms_norm-inl.h.
#include "core/cuda/gain.cuh"

namespace seednorm::rms_norm {

template <class T>
void forward_on_gpu(const KernelArgs& args, int64_t rows, cuda::Stream stream) {
  cuda::run_forward<T, cuda::GainForward<T, RmsScale>>(args, rows, stream);
}
template <class T>
void backward_on_gpu(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                     cuda::Stream stream) {
  cuda::run_backward<T, cuda::GainBackward<T, RmsScale>>(args, rows, chunks, slots, stream);
}

}  // namespace seednorm::rms_norm
