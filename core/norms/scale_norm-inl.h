// ScaleNorm (Nguyen and Salazar, arXiv 1910.05895).
//
//   y = g x / max(|x|, eps),   |x| the Euclidean length, g one scalar (the parameter gamma)
//
// Backward, with q = 1 / max(|x|, eps):
//   dx_i = q g dy_i - x_i q^3 sum_j g dy_j x_j   (without the second term where |x| <= eps)
//   dg   = sum_rows sum_i dy_i x_i q
#ifndef SEEDNORM_NORMS_SCALE_NORM_ONCE_
#define SEEDNORM_NORMS_SCALE_NORM_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::scale_norm {

inline NormInfo info() {
  return {
      .name = "scale_norm",
      .all_params = {{
          {.param = Param::kGamma,
           .role = ParamRole::kGain,
           .state_name = "weight",
           .initial_value = 1,
           .initial_times_root_dim = true,
           .shape = ParamKind::kScalar},
      }},
      .num_stats = [](const Options&) -> int64_t { return 1; },
      .has_eps = true,
  };
}

}  // namespace seednorm::scale_norm
#endif  // SEEDNORM_NORMS_SCALE_NORM_ONCE_

#if defined(SEEDNORM_NORMS_SCALE_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_SCALE_NORM_INL_H_
#undef SEEDNORM_NORMS_SCALE_NORM_INL_H_
#else
#define SEEDNORM_NORMS_SCALE_NORM_INL_H_
#endif

#include "core/cpu/gain-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::scale_norm::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

template <class T>
void forward_typed(const KernelArgs& args, int64_t begin, int64_t end) {
  GainForward<T, LengthScale> policy(args);
  run_forward<T, false>(args, policy, begin, end);
}
template <class T>
void backward_typed(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  GainBackward<T, LengthScale> policy(args);
  run_backward<T>(args, policy, begin, end, chunk);
}

}  // namespace seednorm::scale_norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_SCALE_NORM_INL_H_
