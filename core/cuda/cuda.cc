#include "seednorm/cuda.h"

#include <algorithm>
#include <string>

#include "core/cuda/finish.h"
#include "core/cuda/geometry.h"
#include "core/cuda/kernels.h"
#include "core/src/check.h"
#include "core/src/resolve.h"

namespace seednorm {

#define SEEDNORM_NORM(norm_name)       \
  namespace norm_name {                \
  const cuda::Kernels& cuda_kernels(); \
  }
#include "core/norms/norms.def"
#undef SEEDNORM_NORM

namespace cuda {
namespace {

constexpr ChunkRules kChunkRules = {.max_count = kMaxChunks, .min_rows = kMinChunkRows, .multiple = 1};

const Kernels& kernels_of(const Norm& norm) {
  static const Kernels* const all[] = {  // by NormInfo::index
#define SEEDNORM_NORM(norm_name) &norm_name::cuda_kernels(),
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
  };
  return *all[norm.info().index];
}

void check_limits(const Norm& norm) {
  const auto at_most = [&](const char* argument, int64_t value, int64_t limit) {
    if (value > limit)
      fail(norm.name(), argument, "at most " + std::to_string(limit) + " on a GPU", std::to_string(value));
  };
  at_most("dim", norm.dim(), kMaxDim);
  at_most("num_heads", norm.options().num_heads, kMaxHeads);
}

// Kernel arguments of a call on a GPU.
template <class Args>
KernelArgs resolve_for_gpu(const Norm& norm, const Args& args, const Queue& queue) {
  KernelArgs k = resolve(norm, args);
  k.device_seed = queue.seed;
  return k;
}

}  // namespace

size_t scratch_bytes(const Norm& norm, int64_t rows, DType data_dtype) {
  return partials_bytes(norm, rows, data_dtype, kChunkRules, vector_padded(norm.dim()));
}

void forward(const Norm& norm, const ForwardArgs& args, const Queue& queue) {
  check_forward(norm, args);
  check_limits(norm);
  if (args.rows == 0) return;
  kernels_of(norm).forward(resolve_for_gpu(norm, args, queue), args.rows, queue.stream);
}

void backward(const Norm& norm, const BackwardArgs& args, const Queue& queue) {
  check_backward(norm, args, scratch_bytes(norm, std::max<int64_t>(args.rows, 0), args.x.dtype));
  check_limits(norm);
  if (args.scratch != nullptr && reinterpret_cast<uintptr_t>(args.scratch) % 16 != 0) {
    fail(norm.name(), "scratch", "an address that is a multiple of 16",
         std::to_string(reinterpret_cast<uintptr_t>(args.scratch)));
  }
  const KernelArgs k = resolve_for_gpu(norm, args, queue);
  const Slots slots = slots_of(norm.info());
  const Chunks chunks = cut_chunks(args.rows, k.rows_per_sample, kChunkRules);
  if (args.rows > 0) kernels_of(norm).backward(k, args.rows, chunks, slots, queue.stream);
  if (wants_gradients(k)) finish(k, chunks, slots, queue.stream);
}

}  // namespace cuda
}  // namespace seednorm
