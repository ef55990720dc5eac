// The kernels of one norm for GPUs, which core/cuda/norm_unit.cu defines.
#ifndef SEEDNORM_CORE_CUDA_KERNELS_H_
#define SEEDNORM_CORE_CUDA_KERNELS_H_

#include "core/kernel/chunks.h"
#include "core/kernel/kernel_args.h"
#include "seednorm/cuda.h"

namespace seednorm::cuda {

struct Kernels {
  void (*forward)(const KernelArgs& args, int64_t rows, Stream stream);
  // Writes dx, and one row of partial sums for each chunk and slot.
  void (*backward)(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
                   Stream stream);
};

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_KERNELS_H_
