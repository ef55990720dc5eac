// AdaSeeDNorm for GPUs; see ada_seed_norm-inl.h.
#include "core/cuda/seed.cuh"

namespace seednorm::ada_seed_norm {

template <class T>
using GpuKernels = cuda::SeedKernels<T, true>;

}  // namespace seednorm::ada_seed_norm
