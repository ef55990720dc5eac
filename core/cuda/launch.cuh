// Queues a kernel on a stream.
#ifndef SEEDNORM_CORE_CUDA_LAUNCH_CUH_
#define SEEDNORM_CORE_CUDA_LAUNCH_CUH_

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>
#endif

#include <cstddef>
#include <cstdint>

#include "seednorm/cuda.h"

namespace seednorm::cuda {

#ifdef __CUDACC__
inline void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string("[cuda] ") + what + ": " + cudaGetErrorString(error));
}

// The maximum shared memory of a block on the current device.
inline int max_shared_bytes() {
  int device = 0, bytes = 0;
  check_cuda(cudaGetDevice(&device), "device");
  check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
             "shared memory");
  return bytes;
}

template <class Args>
void launch(void (*kernel)(Args), dim3 grid, dim3 block, int shared_bytes, Stream stream, const Args& args) {
  constexpr int kDefaultLimit = 48 * 1024;  // more has to be requested for each kernel on each device
  const void* const function = reinterpret_cast<const void*>(kernel);
  if (shared_bytes > kDefaultLimit) {
    check_cuda(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes),
               "shared memory");
  }
  void* arguments[] = {const_cast<Args*>(&args)};
  check_cuda(cudaLaunchKernel(function, grid, block, arguments, static_cast<size_t>(shared_bytes), stream),
             "launch");
}
#else
template <class Args>
void launch(void (*kernel)(Args), dim3 grid, dim3 block, int shared_bytes, Stream, const Args& args) {
  host_launch(grid, block, shared_bytes, [&] { kernel(args); });
}
inline int max_shared_bytes() { return host_max_shared_bytes(); }
#endif

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_LAUNCH_CUH_
