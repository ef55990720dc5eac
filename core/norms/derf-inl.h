// Derf (Chen et al., arXiv 2512.10938).
//
//   y_i = gamma_i erf(alpha x_i + s) + beta_i,   alpha and s are scalars
//
// Backward, with q_i = dy_i gamma_i erf'(alpha x_i + s):
//   dx_i   = alpha q_i,   dgamma_i = sum_rows dy_i erf(alpha x_i + s),   dbeta_i = sum_rows dy_i
//   dalpha = sum_rows sum_i q_i x_i,   ds = sum_rows sum_i q_i
#ifndef SEEDNORM_NORMS_DERF_ONCE_
#define SEEDNORM_NORMS_DERF_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::derf {

inline NormInfo info() {
  return {
      .name = "derf",
      .all_params = {{
          {.param = Param::kGamma, .role = ParamRole::kGain, .state_name = "weight", .initial_value = 1},
          {.param = Param::kBeta, .role = ParamRole::kOffset, .state_name = "bias"},
          {.param = Param::kAlpha,
           .role = ParamRole::kSlope,
           .state_name = "alpha",
           .initial_value = 0.5,
           .shape = ParamKind::kScalar},
          {.param = Param::kShift,
           .role = ParamRole::kOffset,
           .state_name = "shift",
           .shape = ParamKind::kScalar},
      }},
      .num_stats = [](const Options&) -> int64_t { return 0; },
  };
}

}  // namespace seednorm::derf
#endif  // SEEDNORM_NORMS_DERF_ONCE_

#if defined(SEEDNORM_NORMS_DERF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_DERF_INL_H_
#undef SEEDNORM_NORMS_DERF_INL_H_
#else
#define SEEDNORM_NORMS_DERF_INL_H_
#endif

#include "core/cpu/saturating-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::derf::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

struct Function {
  template <class D, class VF>
  static HWY_INLINE VF value(D d, VF v) {
    return erf(d, v);
  }
  template <class D, class VF>
  static HWY_INLINE VF slope(D d, VF v) {
    return hn::Mul(hn::Set(d, static_cast<hn::TFromD<D>>(1.1283791670955126 /* 2 / sqrt(pi) */)),
                   gauss(d, v));
  }
};

template <class T>
void forward_typed(const KernelArgs& args, int64_t begin, int64_t end) {
  SaturatingForward<T, Function> policy(args);
  run_forward<T, false>(args, policy, begin, end);
}
template <class T>
void backward_typed(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  SaturatingBackward<T, Function, true> policy(args);
  run_backward<T>(args, policy, begin, end, chunk);
}

}  // namespace seednorm::derf::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_DERF_INL_H_
