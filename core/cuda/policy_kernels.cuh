// The kernels of a norm with one policy each for forward and backward.
#ifndef SEEDNORM_CORE_CUDA_POLICY_KERNELS_CUH_
#define SEEDNORM_CORE_CUDA_POLICY_KERNELS_CUH_

#include "core/cuda/backward.cuh"
#include "core/cuda/forward.cuh"

namespace seednorm::cuda {

// A norm's file defines for each dtype T: template <class T> using GpuKernels = PolicyKernels<T, ...>.
template <class T, class Forward, class Backward>
struct PolicyKernels {
  static void forward(const KernelArgs& args, int64_t rows, Stream stream) {
    run_forward<T, Forward>(args, rows, stream);
  }
  static void backward(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                       Stream stream) {
    run_backward<T, Backward>(args, rows, chunks, slots, stream);
  }
};

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_POLICY_KERNELS_CUH_
