#include "lab/nn/cuda/norm_kernels.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "seednorm/cuda.h"

namespace seednorm::lab {
namespace {

// libtorch's current stream.
cuda::Queue queue_of(at::Device device) {
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
  return {.stream = static_cast<cuda::Stream>(stream.native_handle())};
}

}  // namespace

const NormRunner& cuda_norm_runner() {
  static const NormRunner runner = {
      .scratch_bytes = [](const Norm& norm, int64_t rows,
                          DType dtype) { return cuda::scratch_bytes(norm, rows, dtype); },
      .forward =
          [](const Norm& norm, const ForwardArgs& args, at::Device device) {
            const c10::DeviceGuard guard(device);
            cuda::forward(norm, args, queue_of(device));
          },
      .backward =
          [](const Norm& norm, const BackwardArgs& args, at::Device device) {
            const c10::DeviceGuard guard(device);
            cuda::backward(norm, args, queue_of(device));
          },
  };
  return runner;
}

bool fits_cuda_norms(const Norm& norm) {
  return norm.dim() <= cuda::kMaxDim && norm.options().num_heads <= cuda::kMaxHeads;
}

}  // namespace seednorm::lab
