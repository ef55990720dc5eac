// SEEDNORM_HOST_DEVICE marks functions that run on the CPU and in a GPU's kernels.
#ifndef SEEDNORM_CORE_KERNEL_HOST_DEVICE_H_
#define SEEDNORM_CORE_KERNEL_HOST_DEVICE_H_

#ifdef __CUDACC__
#define SEEDNORM_HOST_DEVICE __host__ __device__
#else
#define SEEDNORM_HOST_DEVICE
#endif

#endif  // SEEDNORM_CORE_KERNEL_HOST_DEVICE_H_
