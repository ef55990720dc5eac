// RMSNorm (Zhang and Sennrich, arXiv 1910.07467).
//
//   y_i = gamma_i x_i rstd,   rstd = 1 / sqrt(mean_i x_i^2 + eps)
//
// gamma: vector [D], plus_one (1 + gamma) or none (1).
// Backward, with g = dy and B = sum_i g_i gamma_i x_i:
//   dx_i = rstd g_i gamma_i - x_i rstd^3 B / D,   dgamma_i = sum_rows g_i x_i rstd
#ifndef SEEDNORM_NORMS_RMS_NORM_ONCE_
#define SEEDNORM_NORMS_RMS_NORM_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::rms_norm {

inline NormInfo info() {
  return {
      .name = "rms_norm",
      .all_params = {{
          {.param = Param::kGamma,
           .role = ParamRole::kGain,
           .state_name = "weight",
           .initial_value = 1,
           .absent_value = 1,
           .forms = {Form::kVector, Form::kPlusOne, Form::kNone}},
      }},
      .num_stats = [](const Options&) -> int64_t { return 1; },
      .has_residual_add = true,
      .has_eps = true,
  };
}

}  // namespace seednorm::rms_norm
#endif  // SEEDNORM_NORMS_RMS_NORM_ONCE_

#if defined(SEEDNORM_NORMS_RMS_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_RMS_NORM_INL_H_
#undef SEEDNORM_NORMS_RMS_NORM_INL_H_
#else
#define SEEDNORM_NORMS_RMS_NORM_INL_H_
#endif

#include "core/cpu/gain-inl.h"
#include "core/cpu/hardware_bfloat16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::rms_norm::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;

template <class T>
void forward_typed(const KernelArgs& args, int64_t begin, int64_t end) {
  with_storage<T>([&]<class S>(StorageType<S>) HWY_ATTR {
    GainForward<S, RmsScale> policy(args);
    run_forward<S>(args, policy, begin, end);
  });
}
template <class T>
void backward_typed(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  with_storage<T>([&]<class S>(StorageType<S>) HWY_ATTR {
    GainBackward<S, RmsScale> policy(args);
    run_backward<S>(args, policy, begin, end, chunk);
  });
}

}  // namespace seednorm::rms_norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_RMS_NORM_INL_H_
