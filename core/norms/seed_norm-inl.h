// SeeDNorm (arXiv 2510.22777v2, Eq. 4; multi-head Eq. 7; ablated forms: Table 3).
//
//   rstd = 1 / sqrt(mean_i x_i^2 + eps),  z_h = dot_scale sum_{i in h} x_i beta_i,  u_h = sigma(z_h)
//   y_i  = (m_i u_h alpha_i + gamma_i) x_i rstd          m: dropout multiplier, 0 or 1 / (1 - p)
// Forms:
//   beta elementwise  u_i = sigma(dot_scale x_i beta_i)
//   beta none         u = sum_i sigma(dot_scale x_i) alpha_i, one value per row
//   alpha scalar      one value for all columns; none: 1
//   gamma none        0, the dynamic coefficient replaces it; plus_one: 1 + gamma
// Backward: see core/cpu/seed-inl.h and core/cpu/seed_forms-inl.h.
#ifndef SEEDNORM_NORMS_SEED_NORM_ONCE_
#define SEEDNORM_NORMS_SEED_NORM_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::seed_norm {

inline NormInfo info() {
  return {
      .name = "seed_norm",
      .all_params = {{
          {.param = Param::kGamma,
           .role = ParamRole::kGain,
           .state_name = "weight",
           .initial_value = 1,
           .absent_value = 0,
           .forms = {Form::kVector, Form::kPlusOne, Form::kNone}},
          {.param = Param::kAlpha,
           .role = ParamRole::kDynamic,
           .state_name = "alpha",
           .initial_value = 1,
           .absent_value = 1,
           .forms = {Form::kVector, Form::kScalar, Form::kNone}},
          {.param = Param::kBeta,
           .role = ParamRole::kDynamic,
           .state_name = "beta",
           .forms = {Form::kVector, Form::kElementwise, Form::kNone}},
      }},
      .num_stats = [](const Options& o) -> int64_t {
        if (o.beta == Form::kElementwise) return 1;
        return o.beta == Form::kNone ? 2 : 1 + o.num_heads;
      },
      .has_residual_add = true,
      .has_eps = true,
      .has_heads = true,
      .has_sigma = true,
      .has_dropout = true,
      .starts_as = "rms_norm",
  };
}

}  // namespace seednorm::seed_norm
#endif  // SEEDNORM_NORMS_SEED_NORM_ONCE_

#if defined(SEEDNORM_NORMS_SEED_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_SEED_NORM_INL_H_
#undef SEEDNORM_NORMS_SEED_NORM_INL_H_
#else
#define SEEDNORM_NORMS_SEED_NORM_INL_H_
#endif

#include "core/cpu/hardware_bfloat16-inl.h"
#include "core/cpu/seed_forms-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::seed_norm::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

template <class T>
void forward_typed(const KernelArgs& args, int64_t begin, int64_t end) {
  with_storage<T>([&]<class S>(StorageType<S>) HWY_ATTR {
    const auto run = [&](auto policy) HWY_ATTR { run_forward<S>(args, policy, begin, end); };
    if (args.options.beta != Form::kVector) return run(SeedFormForward<S>(args));
    with_loops<S>(args, [&](auto loops) HWY_ATTR { run(SeedForward<S, loops, false>(args)); });
  });
}

template <class T>
void backward_typed(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  with_storage<T>([&]<class S>(StorageType<S>) HWY_ATTR {
    const auto run = [&](auto policy) HWY_ATTR { run_backward<S>(args, policy, begin, end, chunk); };
    if (args.options.beta != Form::kVector) return run(SeedFormBackward<S>(args));
    with_loops<S>(args, [&](auto loops) HWY_ATTR { run(SeedBackward<S, loops, false>(args)); });
  });
}

}  // namespace seednorm::seed_norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_SEED_NORM_INL_H_
