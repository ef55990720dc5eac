// What a norm is: its own description, written in its file in core/norms/ and read by everything else.
#ifndef SEEDNORM_CORE_KERNEL_NORM_INFO_H_
#define SEEDNORM_CORE_KERNEL_NORM_INFO_H_

#include <cstdint>

#include "seednorm/norm.h"

namespace seednorm {

// A set of Form values.
constexpr uint32_t forms() { return 0; }
template <class... Rest>
constexpr uint32_t forms(Form first, Rest... rest) {
  return 1u << static_cast<uint32_t>(first) | forms(rest...);
}

// Shape of a parameter of form `form`.
inline ParamKind kind_of(Form form) {
  return form == Form::kNone     ? ParamKind::kAbsent
         : form == Form::kScalar ? ParamKind::kScalar
                                 : ParamKind::kVector;
}

// A parameter with one row per sample, whatever the norm.
constexpr bool is_per_sample(Param param) { return param == Param::kGammaC || param == Param::kEtaC; }

// The parameters of a norm, in the order in which operators take them and backward sums their gradients: slot
// i of the partial sums belongs to params[i].
struct Slots {
  int count = 0;
  Param params[4] = {};
};

struct NormInfo {
  const char* name;
  ParamKind (*kind)(const Options& options, Param param);
  double (*initial_value)(const Options& options, int64_t dim, Param param);
  double (*constant)(const Options& options, Param param);  // the value that an absent parameter stands for
  int64_t (*num_stats)(const Options& options);
  // The forms that each parameter may take. A norm without a choice allows the default alone, kVector.
  uint32_t gamma_forms = forms(Form::kVector), alpha_forms = forms(Form::kVector),
           beta_forms = forms(Form::kVector);
  Slots slots;
  bool residual = false;  // the norm has a fused residual add
  // The options that this norm has.
  bool uses_eps = false, uses_heads = false, uses_sigma = false, uses_dropout = false;
};

}  // namespace seednorm

#endif  // SEEDNORM_CORE_KERNEL_NORM_INFO_H_
