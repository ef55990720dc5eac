// One norm's kernels for GPUs. The build compiles this file once for each line of core/norms/norms.def, with
// SEEDNORM_NORM_NAME and SEEDNORM_NORM_FILE set.
#include "core/cuda/kernels.h"

#include SEEDNORM_NORM_FILE

namespace seednorm::SEEDNORM_NORM_NAME {
namespace {

void forward(const KernelArgs& args, int64_t rows, cuda::Stream stream) {
  switch (args.dtype) {
    case DType::kFloat32:
      return forward_on_gpu<float>(args, rows, stream);
    case DType::kBFloat16:
      return forward_on_gpu<BFloat16>(args, rows, stream);
    case DType::kFloat16:
      return forward_on_gpu<Float16>(args, rows, stream);
    case DType::kFloat64:
      return forward_on_gpu<double>(args, rows, stream);
  }
}

void backward(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
              cuda::Stream stream) {
  switch (args.dtype) {
    case DType::kFloat32:
      return backward_on_gpu<float>(args, rows, chunks, slots, stream);
    case DType::kBFloat16:
      return backward_on_gpu<BFloat16>(args, rows, chunks, slots, stream);
    case DType::kFloat16:
      return backward_on_gpu<Float16>(args, rows, chunks, slots, stream);
    case DType::kFloat64:
      return backward_on_gpu<double>(args, rows, chunks, slots, stream);
  }
}

}  // namespace

const cuda::Kernels& cuda_kernels() {
  static const cuda::Kernels table = {forward, backward};
  return table;
}

}  // namespace seednorm::SEEDNORM_NORM_NAME
