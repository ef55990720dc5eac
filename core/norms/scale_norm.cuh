// ScaleNorm for GPUs; see scale_norm-inl.h.
#include "core/cuda/gain.cuh"

namespace seednorm::scale_norm {

template <class T>
using GpuKernels =
    cuda::PolicyKernels<T, cuda::GainForward<T, LengthScale>, cuda::GainBackward<T, LengthScale>>;

}  // namespace seednorm::scale_norm
