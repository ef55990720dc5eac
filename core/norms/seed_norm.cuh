// SeeDNorm for GPUs; see seed_norm-inl.h.
#include "core/cuda/seed.cuh"

namespace seednorm::seed_norm {

template <class T>
using GpuKernels = cuda::SeedKernels<T, false>;

}  // namespace seednorm::seed_norm
