// What follows from a norm's description for its kernels.
#ifndef SEEDNORM_CORE_KERNEL_NORM_INFO_H_
#define SEEDNORM_CORE_KERNEL_NORM_INFO_H_

#include "seednorm/norm.h"

namespace seednorm {

// A parameter with one row per sample, whatever the norm.
constexpr bool is_per_sample(Param param) { return param == Param::kGammaC || param == Param::kEtaC; }

// The gradients that backward sums, in the order of their rows in `partials`: a norm's parameters.
struct Slots {
  int count = 0;
  Param params[NormInfo::kMaxParams] = {};
};

inline Slots slots_of(const NormInfo& info) {
  Slots slots;
  for (const ParamInfo& p : info.params()) slots.params[slots.count++] = p.param;
  return slots;
}

// The form that the options give a parameter.
constexpr Form form_of(const Options& options, Param param) {
  switch (param) {
    case Param::kGamma:
      return options.gamma;
    case Param::kAlpha:
      return options.alpha;
    case Param::kBeta:
      return options.beta;
    default:
      return Form::kVector;
  }
}

}  // namespace seednorm

#endif  // SEEDNORM_CORE_KERNEL_NORM_INFO_H_
