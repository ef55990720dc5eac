#include "seednorm/norm.h"

#include <algorithm>

#include "core/kernel/chunks.h"
#include "core/src/check.h"
#include "core/src/registry.h"
#include "core/src/resolve.h"
#include "core/src/stream.h"

namespace seednorm {
namespace {

// At least 64 rows a chunk of partial sums: below it the slots' own traffic would show (three rows of sums
// beside three times so many rows of data: 2%).
constexpr ChunkRules kChunkRules = {.max_count = kMaxChunks, .min_rows = 64, .multiple = 4};

// Bytes below which a call is not worth waking threads for (a few microseconds of work).
constexpr int64_t kMinParallelBytes = 128 * 1024;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool can_stream(const MutableRowsRef& rows, DType dtype) {
  const auto address = reinterpret_cast<uintptr_t>(rows.data);
  return (address | (rows.stride * size_of(dtype))) % kStreamAlignment == 0;
}

// Runs work(begin, end) over [0, rows), cut into `pieces`.
template <class Work>
void parallel_rows(const Executor& executor, int64_t rows, int64_t pieces, const Work& work) {
  if (pieces <= 1 || executor.run == nullptr) return work(0, rows);
  struct Context {
    int64_t rows, size;
    const Work* work;
  };
  const Context context{rows, divide_up(divide_up(rows, pieces), 4) * 4, &work};
  executor.run(
      executor.self, divide_up(rows, context.size),
      [](void* arg, int64_t i) {
        const Context& c = *static_cast<const Context*>(arg);
        const int64_t begin = i * c.size;
        (*c.work)(begin, std::min(c.rows, begin + c.size));
      },
      const_cast<Context*>(&context));
}

// Runs work(i) for i in [0, count).
template <class Work>
void parallel_tasks(const Executor& executor, int64_t count, bool alone, const Work& work) {
  if (alone || count <= 1 || executor.run == nullptr) {
    for (int64_t i = 0; i < count; ++i) work(i);
    return;
  }
  executor.run(
      executor.self, count, [](void* arg, int64_t i) { (*static_cast<const Work*>(arg))(i); },
      const_cast<Work*>(&work));
}

}  // namespace

Norm::Norm(std::string_view name, int64_t dim, const Options& options)
    : name_(name), dim_(dim), options_(options) {
  const RegisteredNorm found = find_norm(name);
  if (found.info == nullptr) {
    fail(name, "name", "a known norm, perhaps \"" + nearest_norm_name(name) + "\"", "\"" + name_ + "\"");
  }
  info_ = found.info;
  kernels_ = found.kernels;
  check_options(*info_, dim, options);
  num_stats_ = info_->num_stats(options);
  for (int p = 0; p < kNumParams; ++p) kinds_[p] = info_->kind(options, static_cast<Param>(p));
}

double Norm::initial_value(Param param) const {
  if (kind(param) == ParamKind::kAbsent)
    fail(name_, name_of(param), "a parameter of the layer", "one it does not have");
  return info_->initial_value(options_, dim_, param);
}

bool Norm::has_residual_add() const { return info_->residual; }

size_t Norm::scratch_bytes(int64_t rows, DType data_dtype) const {
  if (rows < 0) fail(name_, "rows", "0 or more", std::to_string(rows));
  if (!has_params(*this)) return 0;
  // With samples: the most there can be.
  const int64_t chunks =
      has_samples(*this) ? std::min(rows, kMaxChunks) : cut_chunks(rows, 0, kChunkRules).count;
  const int64_t padded = divide_up(dim_, kMaxUnit) * kMaxUnit;
  return static_cast<size_t>(chunks * info_->slots.count * padded) * accumulator_bytes(data_dtype);
}

void Norm::forward(const ForwardArgs& args, const Executor& executor) const {
  check_forward(*this, *info_, args);
  if (args.rows == 0) return;
  KernelArgs k = resolve(*this, *info_, args);

  const int64_t tensors = args.residual ? 4 : 2;
  const int64_t bytes = tensors * args.rows * dim_ * static_cast<int64_t>(size_of(k.dtype));
  k.stream = bytes > stream_threshold_bytes() && can_stream(k.y, k.dtype) &&
             (!args.residual || can_stream(k.sum, k.dtype));
  const int64_t pieces = bytes < kMinParallelBytes ? 1 : parallel_pieces(bytes, executor.num_threads);
  parallel_rows(executor, args.rows, pieces,
                [&](int64_t begin, int64_t end) { kernels_->forward(k, begin, end); });
}

void Norm::backward(const BackwardArgs& args, const Executor& executor) const {
  check_backward(*this, *info_, args, scratch_bytes(std::max<int64_t>(args.rows, 0), args.x.dtype));
  KernelArgs k = resolve(*this, *info_, args);

  const int64_t bytes = 3 * args.rows * dim_ * static_cast<int64_t>(size_of(k.dtype));
  k.stream = bytes > stream_threshold_bytes() && can_stream(k.dx, k.dtype);
  const Chunks chunks = cut_chunks(args.rows, has_samples(*this) ? args.rows_per_sample : 0, kChunkRules);
  const bool alone = bytes < kMinParallelBytes || executor.num_threads <= 1;
  k.chunks_per_sample = chunks.per_sample;
  parallel_tasks(executor, chunks.count, alone, [&](int64_t i) {
    const int64_t begin = chunks.begin(i, args.rows, args.rows_per_sample);
    kernels_->backward(k, begin, std::max(begin, chunks.begin(i + 1, args.rows, args.rows_per_sample)), i);
  });
  if (!wants_gradients(k)) return;
  parallel_tasks(executor, info_->slots.count, alone,
                 [&](int64_t slot) { kernels_->finish(k, info_->slots, chunks.count, slot); });
}

const char* name_of(DType dtype) {
  constexpr const char* kNames[] = {"float32", "bfloat16", "float16", "float64"};
  return static_cast<uint32_t>(dtype) < 4 ? kNames[static_cast<int>(dtype)] : "unknown";
}
const char* name_of(Param param) {
  constexpr const char* kNames[] = {"gamma", "alpha", "beta", "shift", "gamma_c", "eta_c"};
  return static_cast<uint32_t>(param) < kNumParams ? kNames[static_cast<int>(param)] : "unknown";
}
const char* name_of(Sigma sigma) {
  constexpr const char* kNames[] = {"tanh", "sigmoid", "hardtanh", "softsign", "gelu", "silu", "identity"};
  return static_cast<uint32_t>(sigma) < 7 ? kNames[static_cast<int>(sigma)] : "unknown";
}
const char* name_of(Form form) {
  constexpr const char* kNames[] = {"vector", "scalar", "none", "plus_one", "elementwise"};
  return static_cast<uint32_t>(form) < 5 ? kNames[static_cast<int>(form)] : "unknown";
}

}  // namespace seednorm
