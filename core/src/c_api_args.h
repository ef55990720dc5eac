// The checked copies of the C structs that c_api.cc makes, and the assertions that C and C++ values are
// equal.
#ifndef SEEDNORM_CORE_SRC_C_API_ARGS_H_
#define SEEDNORM_CORE_SRC_C_API_ARGS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "seednorm/c_api.h"
#include "seednorm/norm.h"
#include "seednorm/parallel.h"

namespace seednorm::c_api {

template <class Enum>
constexpr bool same(int c_value, Enum value) {
  return c_value == static_cast<int>(value);
}
static_assert(same(SEEDNORM_FLOAT32, DType::kFloat32) && same(SEEDNORM_BFLOAT16, DType::kBFloat16) &&
              same(SEEDNORM_FLOAT16, DType::kFloat16) && same(SEEDNORM_FLOAT64, DType::kFloat64));
static_assert(same(SEEDNORM_TANH, Sigma::kTanh) && same(SEEDNORM_SIGMOID, Sigma::kSigmoid) &&
              same(SEEDNORM_HARDTANH, Sigma::kHardtanh) && same(SEEDNORM_SOFTSIGN, Sigma::kSoftsign) &&
              same(SEEDNORM_GELU, Sigma::kGelu) && same(SEEDNORM_SILU, Sigma::kSilu) &&
              same(SEEDNORM_IDENTITY, Sigma::kIdentity));
static_assert(same(SEEDNORM_FORM_VECTOR, Form::kVector) && same(SEEDNORM_FORM_SCALAR, Form::kScalar) &&
              same(SEEDNORM_FORM_NONE, Form::kNone) && same(SEEDNORM_FORM_PLUS_ONE, Form::kPlusOne) &&
              same(SEEDNORM_FORM_ELEMENTWISE, Form::kElementwise));
static_assert(same(SEEDNORM_GAMMA, Param::kGamma) && same(SEEDNORM_ALPHA, Param::kAlpha) &&
              same(SEEDNORM_BETA, Param::kBeta) && same(SEEDNORM_SHIFT, Param::kShift) &&
              same(SEEDNORM_GAMMA_C, Param::kGammaC) && same(SEEDNORM_ETA_C, Param::kEtaC) &&
              SEEDNORM_NUM_PARAMS == kNumParams && SEEDNORM_NUM_PARAMS <= SEEDNORM_PARAM_SLOTS);
static_assert(same(SEEDNORM_KIND_ABSENT, ParamKind::kAbsent) &&
              same(SEEDNORM_KIND_VECTOR, ParamKind::kVector) &&
              same(SEEDNORM_KIND_SCALAR, ParamKind::kScalar) &&
              same(SEEDNORM_KIND_PER_SAMPLE, ParamKind::kPerSample));

// The subject of a message, "[layer] group.argument.field". The text is built only for an error, so that a
// successful call does not allocate.
struct Where {
  const char* layer;
  const char* group;
  const char* argument;
};

[[noreturn]] inline void reject(const Where& where, const char* field, const std::string& expected,
                                const std::string& got) {
  throw std::invalid_argument(std::string("[") + where.layer + "] " + where.group + where.argument + field +
                              ": expected " + expected + ", got " + got);
}

inline void check_pointer(const void* pointer, const Where& where, const char* field = "") {
  if (pointer == nullptr) reject(where, field, "a pointer", "NULL");
}

inline void check_reserved(int32_t value, const Where& where) {
  if (value != 0) reject(where, ".reserved", "0", std::to_string(value));
}

// `value` as one of `count` enumerators.
template <class Enum>
Enum checked(int32_t value, int count, const Where& where, const char* field = "") {
  if (value < 0 || value >= count) {
    reject(where, field, "0 to " + std::to_string(count - 1), std::to_string(value));
  }
  return static_cast<Enum>(value);
}

// No version's struct will be longer. A greater length is a mistake, and the struct would be read to its end.
constexpr size_t kMaxStructBytes = 4096;

// A copy of the caller's struct, which may be longer than this version's if the rest is zero. A later version
// will also accept a struct as short as the first version's.
template <class Struct>
Struct copy_of(const Struct* from, const Where& where) {
  check_pointer(from, where);
  const size_t size = from->struct_size;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(from);
  if (size < sizeof(Struct)) {
    reject(where, ".struct_size", "at least " + std::to_string(sizeof(Struct)), std::to_string(size));
  }
  if (size > kMaxStructBytes) {
    reject(where, ".struct_size", "at most " + std::to_string(kMaxStructBytes), std::to_string(size));
  }
  if (!std::all_of(bytes + sizeof(Struct), bytes + size, [](unsigned char byte) { return byte == 0; })) {
    reject(where, "", "zeros in the fields that this version does not know", "something else");
  }
  return *from;
}

inline Options options_of(const seednorm_options& from, const char* layer) {
  Options options;
  options.eps = from.eps;
  options.num_heads = from.num_heads;
  options.sigma = checked<Sigma>(from.sigma, kNumSigmas, {layer, "", "sigma"});
  options.dot_scale = from.dot_scale;
  options.dropout = from.dropout;
  options.gamma = checked<Form>(from.gamma, kNumForms, {layer, "", "gamma"});
  options.alpha = checked<Form>(from.alpha, kNumForms, {layer, "", "alpha"});
  options.beta = checked<Form>(from.beta, kNumForms, {layer, "", "beta"});
  return options;
}

// Converts seednorm_view to View, and seednorm_const_view to ConstView. Without data the result is an empty
// view.
template <class V, class CView>
V view_of(const CView& from, const Where& where) {
  if (from.data == nullptr) return {};
  check_reserved(from.reserved, where);
  return {from.data, checked<DType>(from.dtype, kNumDTypes, where, ".dtype"), from.stride};
}

template <class V, class CView>
ParamSet<V> params_of(const CView (&from)[SEEDNORM_PARAM_SLOTS], const char* layer) {
  constexpr bool kGrads = std::is_same_v<V, View>;
  ParamSet<V> to;
  for (int i = 0; i < SEEDNORM_NUM_PARAMS; ++i) {
    const auto param = static_cast<Param>(i);
    to[param] = view_of<V>(from[i], {layer, kGrads ? "grads." : "", name_of(param)});
  }
  for (int i = SEEDNORM_NUM_PARAMS; i < SEEDNORM_PARAM_SLOTS; ++i) {
    if (from[i].data == nullptr) continue;
    reject({layer, "", kGrads ? "grads" : "params"}, "", "NULL after the last parameter", "a pointer");
  }
  return to;
}

inline ForwardArgs forward_args_of(const seednorm_forward_args& from, const char* layer) {
  check_reserved(from.reserved, {layer, "", "args"});
  ForwardArgs to;
  to.rows = from.rows;
  to.x = view_of<ConstView>(from.x, {layer, "", "x"});
  to.y = view_of<View>(from.y, {layer, "", "y"});
  to.params = params_of<ConstView>(from.params, layer);
  to.stats = from.stats;
  to.residual = view_of<ConstView>(from.residual, {layer, "", "residual"});
  to.sum = view_of<View>(from.sum, {layer, "", "sum"});
  to.rows_per_sample = from.rows_per_sample;
  to.training = from.training != 0;
  to.seed = from.seed;
  to.offset = from.offset;
  return to;
}

inline BackwardArgs backward_args_of(const seednorm_backward_args& from, const char* layer) {
  check_reserved(from.reserved, {layer, "", "args"});
  BackwardArgs to;
  to.rows = from.rows;
  to.x = view_of<ConstView>(from.x, {layer, "", "x"});
  to.dy = view_of<ConstView>(from.dy, {layer, "", "dy"});
  to.dx = view_of<View>(from.dx, {layer, "", "dx"});
  to.dsum = view_of<ConstView>(from.dsum, {layer, "", "dsum"});
  to.params = params_of<ConstView>(from.params, layer);
  to.grads = params_of<View>(from.grads, layer);
  to.stats = from.stats;
  to.scratch = from.scratch;
  to.rows_per_sample = from.rows_per_sample;
  to.training = from.training != 0;
  to.seed = from.seed;
  to.offset = from.offset;
  return to;
}

inline Executor executor_of(const seednorm_executor* from, const char* layer) {
  if (from == nullptr) return default_executor();
  const Where where = {layer, "", "executor"};
  const seednorm_executor copy = copy_of(from, where);
  check_reserved(copy.reserved, where);
  if (copy.run == nullptr) reject(where, ".run", "a function", "NULL");
  if (copy.num_threads < 1) reject(where, ".num_threads", "at least 1", std::to_string(copy.num_threads));
  return {copy.run, copy.self, copy.num_threads};
}

}  // namespace seednorm::c_api

#endif  // SEEDNORM_CORE_SRC_C_API_ARGS_H_
