// DyISRU, the dynamic inverse square root unit (Stollenwerk, arXiv 2503.21708): what LayerNorm does to one
// element when the others do not change.
//
//   y_i = gamma_i f(alpha x_i) + beta_i,   f(v) = v / sqrt(1 + v^2),   alpha is one scalar
//
// With c = 1 / alpha^2 this is gamma_i x_i / sqrt(x_i^2 + c) + beta_i. Here alpha is trained and not c, which
// a step could make negative; alpha is the slope at 0, as in DyT and Derf.
// Backward, with q_i = dy_i gamma_i f'(alpha x_i) and f'(v) = (1 + v^2)^(-3/2):
//   dx_i   = alpha q_i,   dgamma_i = sum_rows dy_i f(alpha x_i),   dbeta_i = sum_rows dy_i
//   dalpha = sum_rows sum_i q_i x_i
#ifndef SEEDNORM_NORMS_DYISRU_ONCE_
#define SEEDNORM_NORMS_DYISRU_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::dyisru {

inline NormInfo info() {
  return {
      .name = "dyisru",
      .all_params = {{
          {.param = Param::kGamma, .role = ParamRole::kGain, .state_name = "weight", .initial_value = 1},
          {.param = Param::kBeta, .role = ParamRole::kOffset, .state_name = "bias"},
          {.param = Param::kAlpha,
           .role = ParamRole::kSlope,
           .state_name = "alpha",
           .initial_value = 0.5,
           .shape = ParamKind::kScalar},
      }},
      .num_stats = [](const Options&) -> int64_t { return 0; },
  };
}

}  // namespace seednorm::dyisru
#endif  // SEEDNORM_NORMS_DYISRU_ONCE_

#if defined(SEEDNORM_NORMS_DYISRU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_DYISRU_INL_H_
#undef SEEDNORM_NORMS_DYISRU_INL_H_
#else
#define SEEDNORM_NORMS_DYISRU_INL_H_
#endif

#include "core/cpu/saturating-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::dyisru::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

struct Function {
  template <class D, class VF>
  static HWY_INLINE VF root(D d, VF v) {
    return hn::Sqrt(hn::MulAdd(v, v, hn::Set(d, 1)));
  }
  // From 1e9 on f rounds to 1; the limit keeps the square from overflowing.
  template <class D, class VF>
  static HWY_INLINE VF value(D d, VF v) {
    const VF limit = hn::Set(d, static_cast<hn::TFromD<D>>(1e9));
    const VF clamped = hn::Max(hn::Neg(limit), hn::Min(v, limit));
    return keep_nan(d, v, hn::Div(clamped, root(d, clamped)));
  }
  // Where the square overflows, the slope is below the smallest number.
  template <class D, class VF>
  static HWY_INLINE VF slope(D d, VF v) {
    const VF r = hn::Div(hn::Set(d, 1), root(d, v));
    return hn::Mul(hn::Mul(r, r), r);
  }
};

template <class T>
void forward_typed(const KernelArgs& args, int64_t begin, int64_t end) {
  SaturatingForward<T, Function> policy(args);
  run_forward<T, false>(args, policy, begin, end);
}
template <class T>
void backward_typed(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  SaturatingBackward<T, Function, false> policy(args);
  run_backward<T>(args, policy, begin, end, chunk);
}

}  // namespace seednorm::dyisru::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_DYISRU_INL_H_
