// Turns a checked call into kernel arguments, for every processor.
#ifndef SEEDNORM_CORE_SRC_RESOLVE_H_
#define SEEDNORM_CORE_SRC_RESOLVE_H_

#include <algorithm>
#include <iterator>
#include <string>

#include "core/kernel/chunks.h"
#include "core/kernel/kernel_args.h"
#include "core/src/check.h"

namespace seednorm {

inline bool has_params(const Norm& norm) {
  for (int p = 0; p < kNumParams; ++p) {
    if (norm.kind(static_cast<Param>(p)) != ParamKind::kAbsent) return true;
  }
  return false;
}

// Bytes of the partial sums of backward: `padded` elements for each slot of each chunk.
inline size_t partials_bytes(const Norm& norm, int64_t rows, DType data, const ChunkRules& rules,
                             int64_t padded) {
  if (rows < 0) fail(norm.name(), "rows", "0 or more", std::to_string(rows));
  if (!has_params(norm)) return 0;
  // With samples, whose number is not known here, this is an upper bound.
  const int64_t chunks =
      norm.info().needs_condition() ? std::min(rows, rules.max_count) : cut_chunks(rows, 0, rules).count;
  const size_t element_bytes = data == DType::kFloat64 ? 8 : 4;
  return static_cast<size_t>(chunks) * norm.info().params().size() * static_cast<size_t>(padded) *
         element_bytes;
}

// Rows per sample of a call, at most the number of rows; 0 for a norm without samples.
inline int64_t rows_per_sample_of(const Norm& norm, int64_t rows, int64_t rows_per_sample) {
  return norm.info().needs_condition() ? std::min(rows_per_sample, std::max<int64_t>(rows, 1)) : 0;
}

inline int64_t stride_of(const ConstView& v, int64_t dim) { return v.stride == 0 ? dim : v.stride; }
inline RowsRef rows_of(const ConstView& v, int64_t dim) { return {v.data, stride_of(v, dim)}; }
inline MutableRowsRef rows_of(const View& v, int64_t dim) { return {v.data, stride_of(v, dim)}; }

inline ParamRef param_ref(const Norm& norm, Param param, const ConstView& v) {
  ParamRef ref;
  const ParamKind kind = norm.kind(param);
  if (kind == ParamKind::kAbsent) {
    const NormParamInfo* const own = norm.info().find(param);
    // A parameter that the norm does not have must not change results: it is a factor of one or an offset of
    // zero.
    const bool factor = param == Param::kGamma || param == Param::kAlpha;
    ref.constant = own != nullptr ? own->absent_value : factor ? 1.0 : 0.0;
    return ref;
  }
  ref.data = v.data;
  ref.dtype = v.dtype;
  ref.mask = kind == ParamKind::kScalar ? 0 : ~int64_t{0};
  ref.stride = stride_of(v, norm.dim());
  if (param == Param::kGamma && norm.options().gamma == Form::kPlusOne) ref.offset = 1.0;
  return ref;
}

// The arguments that forward and backward share.
template <class Args>
KernelArgs common_args(const Norm& norm, const Args& args) {
  KernelArgs k;
  k.dtype = args.x.dtype;
  k.dim = norm.dim();
  k.options = norm.options();
  k.num_stats = norm.num_stats();
  k.rows_per_sample = rows_per_sample_of(norm, args.rows, args.rows_per_sample);
  k.dropout = args.training && norm.options().dropout > 0;
  k.seed = args.seed;
  k.offset = args.offset;
  k.x = rows_of(args.x, norm.dim());
  for (int p = 0; p < kNumParams; ++p) {
    const Param param = static_cast<Param>(p);
    k.params[p] = param_ref(norm, param, args.params[param]);
  }
  return k;
}

inline KernelArgs resolve(const Norm& norm, const ForwardArgs& args) {
  KernelArgs k = common_args(norm, args);
  k.y = rows_of(args.y, k.dim);
  k.residual = rows_of(args.residual, k.dim);
  k.sum = rows_of(args.sum, k.dim);
  k.stats_out = args.stats;
  return k;
}

// `partials` is null if no parameter gradient is requested.
inline KernelArgs resolve(const Norm& norm, const BackwardArgs& args) {
  KernelArgs k = common_args(norm, args);
  k.dy = rows_of(args.dy, k.dim);
  k.dsum = rows_of(args.dsum, k.dim);
  k.dx = rows_of(args.dx, k.dim);
  k.stats = args.stats;
  for (int p = 0; p < kNumParams; ++p) {
    k.grads[p] = args.grads[static_cast<Param>(p)];
    if (k.grads[p].stride == 0) k.grads[p].stride = k.dim;
    if (k.grads[p]) k.partials = args.scratch;
  }
  return k;
}

inline bool wants_gradients(const KernelArgs& k) {
  return std::any_of(std::begin(k.grads), std::end(k.grads),
                     [](const View& grad) { return static_cast<bool>(grad); });
}

}  // namespace seednorm

#endif  // SEEDNORM_CORE_SRC_RESOLVE_H_
