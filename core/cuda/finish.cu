#include "core/cuda/finish.h"

#include "core/cuda/backward.cuh"

namespace seednorm::cuda {
namespace {

struct FinishLaunch {
  const void* partials;
  int64_t slot_offset;  // elements in front of the slot in each chunk
  int64_t chunk_stride;
  int64_t chunks;  // of each sample, or all
  int64_t width;   // of the gradient
  View grad;       // row blockIdx.y: of sample blockIdx.y
};

constexpr int kColumns = 32, kParts = 32;  // of a block's threads: columns, and parts of the chunks

// Part p sums chunks p, p + kParts, ...; the parts are then summed in order.
template <class A>
__global__ void __launch_bounds__(kColumns* kParts)
    finish_kernel(const __grid_constant__ FinishLaunch launch) {
  auto* const parts = reinterpret_cast<double*>(shared_memory());
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  double sum = 0;
  if (column < launch.width) {
    for (int64_t i = threadIdx.y; i < launch.chunks; i += kParts) {
      const int64_t chunk = blockIdx.y * launch.chunks + i;
      sum +=
          static_cast<const A*>(launch.partials)[chunk * launch.chunk_stride + launch.slot_offset + column];
    }
  }
  parts[threadIdx.y * kColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= launch.width) return;
  for (int part = 1; part < kParts; ++part) sum += parts[part * kColumns + threadIdx.x];
  store_element(launch.grad.data, launch.grad.dtype, blockIdx.y * launch.grad.stride + column, sum);
}

}  // namespace

void finish(const KernelArgs& args, const Chunks& chunks, const Slots& slots, Stream stream) {
  const int64_t padded = vector_padded(args.dim);
  const bool wide = args.dtype == DType::kFloat64;
  for (int s = 0; s < slots.count; ++s) {
    const View& grad = args.grad(slots.params[s]);
    const bool per_sample = is_per_sample(slots.params[s]);
    // Where chunks hold whole samples, or no rows, those of samples are complete.
    if (!grad || (per_sample && chunks.per_sample == 0)) continue;
    const int64_t samples = per_sample ? chunks.count / chunks.per_sample : 1;
    const int64_t width = args.param(slots.params[s]).mask == 0 ? 1 : args.dim;
    const FinishLaunch call{
        args.partials, s * padded, slots.count * padded, per_sample ? chunks.per_sample : chunks.count,
        width,         grad};
    const dim3 grid(static_cast<unsigned>((width + kColumns - 1) / kColumns), static_cast<unsigned>(samples));
    launch(wide ? finish_kernel<double> : finish_kernel<float>, grid, dim3(kColumns, kParts),
           kColumns * kParts * static_cast<int>(sizeof(double)), stream, call);
  }
}

}  // namespace seednorm::cuda
