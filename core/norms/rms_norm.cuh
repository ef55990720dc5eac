// RMSNorm for GPUs; see rms_norm-inl.h.
#include "core/cuda/gain.cuh"

namespace seednorm::rms_norm {

template <class T>
using GpuKernels = cuda::PolicyKernels<T, cuda::GainForward<T, RmsScale>, cuda::GainBackward<T, RmsScale>>;

}  // namespace seednorm::rms_norm
