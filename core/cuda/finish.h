// The second step of backward, from partial sums to parameter gradients.
#ifndef SEEDNORM_CORE_CUDA_FINISH_H_
#define SEEDNORM_CORE_CUDA_FINISH_H_

#include "core/kernel/chunks.h"
#include "core/kernel/kernel_args.h"
#include "seednorm/cuda.h"

namespace seednorm::cuda {

// Sums the partial sums over chunks in double, in a fixed order, and stores the requested gradients.
void finish(const KernelArgs& args, const Chunks& chunks, const Slots& slots, Stream stream);

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_FINISH_H_
