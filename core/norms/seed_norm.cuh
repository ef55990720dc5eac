// SeeDNorm for GPUs; see seed_norm-inl.h.
#include "core/cuda/seed.cuh"

namespace seednorm::seed_norm {

template <class T>
void forward_on_gpu(const KernelArgs& args, int64_t rows, cuda::Stream stream) {
  cuda::seed_forward<T, false>(args, rows, stream);
}
template <class T>
void backward_on_gpu(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                     cuda::Stream stream) {
  cuda::seed_backward<T, false>(args, rows, chunks, slots, stream);
}

}  // namespace seednorm::seed_norm
