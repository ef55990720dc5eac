#include "seednorm/cuda.h"

#include <algorithm>
#include <string>

#include "core/cuda/finish.h"
#include "core/cuda/geometry.h"
#include "core/cuda/kernels.h"
#include "core/src/check.h"
#include "core/src/registry.h"
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
#define SEEDNORM_NORM(norm_name) \
  if (norm.name() == #norm_name) return norm_name::cuda_kernels();
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
  fail(norm.name(), "name", "a norm with kernels for GPUs", norm.name());
}

const NormInfo& info_of(const Norm& norm) { return *find_norm(norm.name()).info; }

void check_limits(const Norm& norm) {
  const auto at_most = [&](const char* argument, int64_t value, int64_t limit) {
    if (value > limit)
      fail(norm.name(), argument, "at most " + std::to_string(limit) + " on a GPU", std::to_string(value));
  };
  at_most("dim", norm.dim(), kMaxDim);
  at_most("num_heads", norm.options().num_heads, kMaxHeads);
}

// What kernels for GPUs read otherwise than those for CPUs.
template <class Args>
KernelArgs resolve_for_gpu(const Norm& norm, const Args& args, const Queue& queue) {
  KernelArgs k = resolve(norm, info_of(norm), args);
  if (!has_samples(norm)) k.rows_per_sample = 0;
  k.device_seed = queue.seed;
  return k;
}

}  // namespace

size_t scratch_bytes(const Norm& norm, int64_t rows, DType data_dtype) {
  if (rows < 0) fail(norm.name(), "rows", "0 or more", std::to_string(rows));
  if (!has_params(norm)) return 0;
  // With samples: the most there can be.
  const int64_t chunks =
      has_samples(norm) ? std::min(rows, kMaxChunks) : cut_chunks(rows, 0, kChunkRules).count;
  const int64_t elements = chunks * info_of(norm).slots.count * padded_dim(norm.dim());
  return static_cast<size_t>(elements) * accumulator_bytes(data_dtype);
}

void forward(const Norm& norm, const ForwardArgs& args, const Queue& queue) {
  check_forward(norm, info_of(norm), args);
  check_limits(norm);
  if (args.rows == 0) return;
  kernels_of(norm).forward(resolve_for_gpu(norm, args, queue), args.rows, queue.stream);
}

void backward(const Norm& norm, const BackwardArgs& args, const Queue& queue) {
  const NormInfo& info = info_of(norm);
  check_backward(norm, info, args, scratch_bytes(norm, std::max<int64_t>(args.rows, 0), args.x.dtype));
  check_limits(norm);
  if (args.scratch != nullptr && reinterpret_cast<uintptr_t>(args.scratch) % 16 != 0) {
    fail(norm.name(), "scratch", "an address that is a multiple of 16",
         std::to_string(reinterpret_cast<uintptr_t>(args.scratch)));
  }
  const KernelArgs k = resolve_for_gpu(norm, args, queue);
  const Chunks chunks = cut_chunks(args.rows, k.rows_per_sample, kChunkRules);
  if (args.rows > 0) kernels_of(norm).backward(k, args.rows, chunks, info.slots, queue.stream);
  if (wants_gradients(k)) finish(k, chunks, info.slots, queue.stream);
}

}  // namespace cuda
}  // namespace seednorm
