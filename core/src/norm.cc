#include "seednorm/norm.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/kernel/chunks.h"
#include "core/src/check.h"
#include "core/src/registry.h"
#include "core/src/resolve.h"
#include "core/src/stream.h"

namespace seednorm {
namespace {

// A chunk has at least 64 rows: with fewer, the traffic of its partial sums would show (three rows of sums
// for three tensors of 64 rows are 2%).
constexpr ChunkRules kChunkRules = {.max_count = kMaxChunks, .min_rows = 64, .multiple = 4};

// Below this many bytes, a few microseconds of work, a call is not worth waking threads for.
constexpr int64_t kMinParallelBytes = 128 * 1024;

// Shape of a parameter with these options.
ParamKind kind_of(const NormInfo& info, const Options& options, Param param) {
  const NormParamInfo* const own = info.find(param);
  if (own == nullptr) return ParamKind::kAbsent;
  if (own->shape != ParamKind::kVector) return own->shape;
  const Form form = form_of(options, param);
  return form == Form::kNone     ? ParamKind::kAbsent
         : form == Form::kScalar ? ParamKind::kScalar
                                 : ParamKind::kVector;
}

template <size_t kCount, class Enum>
const char* name_in(const char* const (&names)[kCount], Enum value) {
  return static_cast<uint32_t>(value) < kCount ? names[static_cast<uint32_t>(value)] : "unknown";
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
  const Context context{rows, round_up(divide_up(rows, pieces), int64_t{4}), &work};
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

const NormInfo& norm_info(std::string_view name) {
  if (const NormInfo* const info = find_norm(name)) return *info;
  fail(name, "name", "a known norm, perhaps \"" + nearest_norm_name(name) + "\"",
       "\"" + std::string(name) + "\"");
}

std::span<const NormParamInfo> NormInfo::params() const {
  const auto unused = [](const NormParamInfo& p) { return p.state_name == nullptr; };
  return {all_params.begin(), std::find_if(all_params.begin(), all_params.end(), unused)};
}

const NormParamInfo* NormInfo::find(Param param) const {
  for (const NormParamInfo& p : params()) {
    if (p.param == param) return &p;
  }
  return nullptr;
}

bool NormInfo::needs_condition() const {
  return std::any_of(params().begin(), params().end(),
                     [](const NormParamInfo& p) { return p.shape == ParamKind::kPerSample; });
}

Norm::Norm(std::string_view name, int64_t dim, const Options& options)
    : Norm(norm_info(name), dim, options) {}

Norm::Norm(const NormInfo& info, int64_t dim, const Options& options)
    : name_(info.name), dim_(dim), options_(options), info_(&info) {
  check_options(info, dim, options);
  num_stats_ = info.num_stats(options);
  for (const NormParamInfo& p : info.params()) {
    kinds_[static_cast<int>(p.param)] = kind_of(info, options, p.param);
  }
}

const NormParamInfo& Norm::param_info(Param param) const {
  if (kind(param) != ParamKind::kAbsent) return *info_->find(param);
  fail(name_, name_of(param), "a parameter of the layer", "one that it does not have with these options");
}

double Norm::initial_value(Param param) const {
  const NormParamInfo& p = param_info(param);
  const double value =
      p.initial_times_root_dim ? p.initial_value * std::sqrt(static_cast<double>(dim_)) : p.initial_value;
  return form_of(options_, param) == Form::kPlusOne ? value - 1 : value;
}

ParamRole Norm::role(Param param) const { return param_info(param).role; }

const char* Norm::state_name(Param param) const { return param_info(param).state_name; }

size_t Norm::scratch_bytes(int64_t rows, DType data_dtype) const {
  return partials_bytes(*this, rows, data_dtype, kChunkRules, unit_padded(dim_));
}

void Norm::forward(const ForwardArgs& args, const Executor& executor) const {
  check_forward(*this, args);
  if (args.rows == 0) return;
  KernelArgs k = resolve(*this, args);

  const int64_t tensors = args.residual ? 4 : 2;
  const int64_t bytes = tensors * args.rows * dim_ * static_cast<int64_t>(size_of(k.dtype));
  k.stream = bytes > stream_threshold_bytes() && can_stream(k.y, k.dtype) &&
             (!args.residual || can_stream(k.sum, k.dtype));
  const int64_t pieces = bytes < kMinParallelBytes ? 1 : parallel_pieces(bytes, executor.num_threads);
  parallel_rows(executor, args.rows, pieces,
                [&](int64_t begin, int64_t end) { info_->kernels->forward(k, begin, end); });
}

void Norm::backward(const BackwardArgs& args, const Executor& executor) const {
  check_backward(*this, args, scratch_bytes(std::max<int64_t>(args.rows, 0), args.x.dtype));
  KernelArgs k = resolve(*this, args);

  const int64_t bytes = 3 * args.rows * dim_ * static_cast<int64_t>(size_of(k.dtype));
  k.stream = bytes > stream_threshold_bytes() && can_stream(k.dx, k.dtype);
  const Chunks chunks = cut_chunks(args.rows, k.rows_per_sample, kChunkRules);
  const bool alone = bytes < kMinParallelBytes || executor.num_threads <= 1;
  k.chunks_per_sample = chunks.per_sample;
  parallel_tasks(executor, chunks.count, alone, [&](int64_t i) {
    const int64_t begin = chunks.begin(i, args.rows, k.rows_per_sample);
    info_->kernels->backward(k, begin, std::max(begin, chunks.begin(i + 1, args.rows, k.rows_per_sample)), i);
  });
  if (!wants_gradients(k)) return;
  const Slots slots = slots_of(*info_);
  parallel_tasks(executor, slots.count, alone,
                 [&](int64_t slot) { info_->kernels->finish(k, slots, chunks.count, slot); });
}

const char* name_of(DType dtype) {
  constexpr const char* kNames[] = {"float32", "bfloat16", "float16", "float64"};
  static_assert(std::size(kNames) == kNumDTypes);
  return name_in(kNames, dtype);
}
const char* name_of(Param param) {
  constexpr const char* kNames[] = {"gamma", "alpha", "beta", "shift", "gamma_c", "eta_c"};
  static_assert(std::size(kNames) == kNumParams);
  return name_in(kNames, param);
}
const char* name_of(Sigma sigma) {
  constexpr const char* kNames[] = {"tanh", "sigmoid", "hardtanh", "softsign", "gelu", "silu", "identity"};
  static_assert(std::size(kNames) == kNumSigmas);
  return name_in(kNames, sigma);
}
const char* name_of(Form form) {
  constexpr const char* kNames[] = {"vector", "scalar", "none", "plus_one", "elementwise"};
  static_assert(std::size(kNames) == kNumForms);
  return name_in(kNames, form);
}
const char* name_of(ParamRole role) {
  constexpr const char* kNames[] = {"gain", "offset", "slope", "dynamic", "condition"};
  static_assert(std::size(kNames) == kNumParamRoles);
  return name_in(kNames, role);
}

}  // namespace seednorm
