// The core's kernels of norms for NVIDIA GPUs, in builds with SEEDNORM_BUILD_CUDA.
#ifndef SEEDNORM_LAB_NN_CUDA_NORM_KERNELS_H_
#define SEEDNORM_LAB_NN_CUDA_NORM_KERNELS_H_

#include "lab/nn/norm_kernels.h"

namespace seednorm::lab {

// They queue work on libtorch's current stream of the device.
const NormRunner& cuda_norm_runner();
// Whether the kernels have room for this norm's width and heads.
bool fits_cuda_norms(const Norm& norm);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CUDA_NORM_KERNELS_H_
