// One norm's kernels for GPUs. The build compiles this file once for each line of core/norms/norms.def, with
// SEEDNORM_NORM_NAME and SEEDNORM_NORM_FILE set.
#include "core/cuda/kernels.h"

#include SEEDNORM_NORM_FILE

namespace seednorm::SEEDNORM_NORM_NAME {
namespace {

// visit(GpuKernels<T>()) for the T of `dtype`.
template <class Visit>
void with_kernels(DType dtype, Visit visit) {
  switch (dtype) {
    case DType::kFloat32:
      return visit(GpuKernels<float>());
    case DType::kBFloat16:
      return visit(GpuKernels<BFloat16>());
    case DType::kFloat16:
      return visit(GpuKernels<Float16>());
    case DType::kFloat64:
      return visit(GpuKernels<double>());
  }
}

void forward(const KernelArgs& args, int64_t rows, cuda::Stream stream) {
  with_kernels(args.dtype, [&](auto kernels) { kernels.forward(args, rows, stream); });
}

void backward(const KernelArgs& args, int64_t rows, const Chunks& chunks, const Slots& slots,
              cuda::Stream stream) {
  with_kernels(args.dtype, [&](auto kernels) { kernels.backward(args, rows, chunks, slots, stream); });
}

}  // namespace

const cuda::Kernels& cuda_kernels() {
  static const cuda::Kernels table = {forward, backward};
  return table;
}

}  // namespace seednorm::SEEDNORM_NORM_NAME
