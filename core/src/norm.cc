#include "seednorm/norm.h"

#include <algorithm>

#include "core/src/check.h"
#include "core/src/registry.h"
#include "core/src/stream.h"

namespace seednorm {
namespace {

// Fewest rows a chunk of partial sums: below it the slots' own traffic would show (three rows of sums
// beside three times so many rows of data: 2%).
constexpr int64_t kMinChunkRows = 64;

// Bytes below which a call is not worth waking threads for (a few microseconds of work).
constexpr int64_t kMinParallelBytes = 128 * 1024;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How rows are cut into the chunks whose partial sums are kept apart: a function of the shape alone. With
// samples, a chunk holds whole samples, or, when there are few, a part of one.
struct Chunks {
  int64_t size;  // rows a chunk, but for the last (of the sample)
  int64_t count;
  int64_t per_sample = 0;  // chunks a sample; 0: whole samples, or no samples

  // First row of chunk i.
  int64_t begin(int64_t i, int64_t rows, int64_t rows_per_sample) const {
    if (per_sample == 0) return std::min(rows, i * size);
    return std::min(rows,
                    i / per_sample * rows_per_sample + std::min(rows_per_sample, i % per_sample * size));
  }
};
Chunks cut_chunks(int64_t rows, int64_t rows_per_sample) {
  const auto piece = [](int64_t n, int64_t pieces) {
    return divide_up(std::max(kMinChunkRows, divide_up(n, pieces)), 4) * 4;
  };
  if (rows == 0) return {1, 0};
  if (rows_per_sample == 0) {
    const int64_t size = piece(rows, kMaxChunks);
    return {size, divide_up(rows, size)};
  }
  const int64_t samples = divide_up(rows, rows_per_sample);
  if (samples >= kMaxChunks) {
    const int64_t size = divide_up(samples, kMaxChunks) * rows_per_sample;
    return {size, divide_up(rows, size)};
  }
  const int64_t sample_rows = std::min(rows, rows_per_sample);
  const int64_t size = piece(sample_rows, kMaxChunks / samples);
  const int64_t per_sample = divide_up(sample_rows, size);
  return {size, samples * per_sample, per_sample};
}

size_t accumulator_bytes(DType data) { return data == DType::kFloat64 ? 8 : 4; }

int64_t stride_of(const ConstView& v, int64_t dim) { return v.stride == 0 ? dim : v.stride; }
RowsRef rows_of(const ConstView& v, int64_t dim) { return {v.data, stride_of(v, dim)}; }
MutableRowsRef rows_of(const View& v, int64_t dim) { return {v.data, stride_of(v, dim)}; }

ParamRef param_ref(const Norm& norm, const NormInfo& info, Param param, const ConstView& v) {
  ParamRef ref;
  const ParamKind kind = norm.kind(param);
  if (kind == ParamKind::kAbsent) {
    ref.constant = info.constant(norm.options(), param);
    return ref;
  }
  ref.data = v.data;
  ref.dtype = v.dtype;
  ref.mask = kind == ParamKind::kScalar ? 0 : ~int64_t{0};
  ref.stride = stride_of(v, norm.dim());
  if (param == Param::kGamma && norm.options().gamma == Form::kPlusOne) ref.offset = 1.0;
  return ref;
}

// What forward and backward have in common.
template <class Args>
KernelArgs common_args(const Norm& norm, const NormInfo& info, const Args& args) {
  KernelArgs k;
  k.dtype = args.x.dtype;
  k.dim = norm.dim();
  k.options = norm.options();
  k.num_stats = norm.num_stats();
  k.rows_per_sample = args.rows_per_sample;
  k.dropout = args.training && norm.options().dropout > 0;
  k.seed = args.seed;
  k.offset = args.offset;
  k.x = rows_of(args.x, norm.dim());
  for (int p = 0; p < kNumParams; ++p) {
    const Param param = static_cast<Param>(p);
    k.params[p] = param_ref(norm, info, param, args.params[param]);
  }
  return k;
}

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
  const bool trained =
      std::any_of(kinds_.begin(), kinds_.end(), [](ParamKind k) { return k != ParamKind::kAbsent; });
  if (!trained) return 0;
  const bool samples = kind(Param::kGammaC) == ParamKind::kPerSample;
  const int64_t chunks =
      samples ? std::min(rows, kMaxChunks) : cut_chunks(rows, 0).count;  // most there can be
  const int64_t padded = divide_up(dim_, kMaxUnit) * kMaxUnit;
  return static_cast<size_t>(chunks * info_->slots.count * padded) * accumulator_bytes(data_dtype);
}

void Norm::forward(const ForwardArgs& args, const Executor& executor) const {
  check_forward(*this, *info_, args);
  if (args.rows == 0) return;
  KernelArgs k = common_args(*this, *info_, args);
  k.y = rows_of(args.y, dim_);
  k.residual = rows_of(args.residual, dim_);
  k.sum = rows_of(args.sum, dim_);
  k.stats_out = args.stats;

  const int64_t tensors = args.residual ? 4 : 2;
  const int64_t bytes = tensors * args.rows * dim_ * static_cast<int64_t>(size_of(k.dtype));
  k.stream = bytes > stream_threshold_bytes() && can_stream(k.y, k.dtype) &&
             (!args.residual || can_stream(k.sum, k.dtype));
  const int64_t pieces = bytes < kMinParallelBytes ? 1 : parallel_pieces(bytes, executor.num_threads);
  parallel_rows(executor, args.rows, pieces,
                [&](int64_t begin, int64_t end) { kernels_->forward(k, begin, end); });
}

void Norm::backward(const BackwardArgs& args, const Executor& executor) const {
  check_backward(*this, *info_, args);
  KernelArgs k = common_args(*this, *info_, args);
  k.dy = rows_of(args.dy, dim_);
  k.dsum = rows_of(args.dsum, dim_);
  k.dx = rows_of(args.dx, dim_);
  k.stats = args.stats;
  bool wanted = false;
  for (int p = 0; p < kNumParams; ++p) {
    k.grads[p] = args.grads[static_cast<Param>(p)];
    if (k.grads[p].stride == 0) k.grads[p].stride = dim_;
    wanted = wanted || k.grads[p];
  }
  if (wanted) k.partials = args.scratch;

  const int64_t bytes = 3 * args.rows * dim_ * static_cast<int64_t>(size_of(k.dtype));
  k.stream = bytes > stream_threshold_bytes() && can_stream(k.dx, k.dtype);
  const bool samples = kind(Param::kGammaC) == ParamKind::kPerSample;
  const Chunks chunks = cut_chunks(args.rows, samples ? args.rows_per_sample : 0);
  const bool alone = bytes < kMinParallelBytes || executor.num_threads <= 1;
  k.chunks_per_sample = chunks.per_sample;
  parallel_tasks(executor, chunks.count, alone, [&](int64_t i) {
    const int64_t begin = chunks.begin(i, args.rows, args.rows_per_sample);
    kernels_->backward(k, begin, std::max(begin, chunks.begin(i + 1, args.rows, args.rows_per_sample)), i);
  });
  if (!wanted) return;
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
