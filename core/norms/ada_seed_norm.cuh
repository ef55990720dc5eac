// AdaSeeDNorm for GPUs; see ada_seed_norm-inl.h.
#include "core/cuda/seed.cuh"

namespace seednorm::ada_seed_norm {

template <class T>
void forward_on_gpu(const KernelArgs& args, int64_t rows, cuda::Stream stream) {
  cuda::seed_forward<T, true>(args, rows, stream);
}
template <class T>
void backward_on_gpu(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                     cuda::Stream stream) {
  cuda::seed_backward<T, true>(args, rows, chunks, slots, stream);
}

}  // namespace seednorm::ada_seed_norm
