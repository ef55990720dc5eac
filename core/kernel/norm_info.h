// The part of a norm's description that kernels need.
#ifndef SEEDNORM_CORE_KERNEL_NORM_INFO_H_
#define SEEDNORM_CORE_KERNEL_NORM_INFO_H_

#include "seednorm/norm.h"

namespace seednorm {

// Whether a parameter has one row per sample, in any norm.
constexpr bool is_per_sample(Param param) { return param == Param::kGammaC || param == Param::kEtaC; }

// The gradients that backward sums, in the order of their rows in `partials`: a norm's parameters.
struct Slots {
  int count = 0;
  Param params[NormInfo::kMaxParams] = {};
};

inline Slots slots_of(const NormInfo& info) {
  Slots slots;
  for (const NormParamInfo& p : info.params()) slots.params[slots.count++] = p.param;
  return slots;
}

}  // namespace seednorm

#endif  // SEEDNORM_CORE_KERNEL_NORM_INFO_H_
