// AdaSeeDNorm (arXiv 2510.22777v2, Eq. 8), for diffusion transformers:
//
//   y_i = ((m_i u_h alpha_i + 1) x_i rstd) (1 + gamma(c)_i) + eta(c)_i
// with u, rstd and m as in SeeDNorm. gamma(c) and eta(c) have one row per sample; row r of the data belongs
// to sample r / rows_per_sample. alpha: vector, scalar or none (1). Backward: see core/cpu/seed-inl.h.
#ifndef SEEDNORM_NORMS_ADA_SEED_NORM_ONCE_
#define SEEDNORM_NORMS_ADA_SEED_NORM_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::ada_seed_norm {

inline NormInfo info() {
  return {
      .name = "ada_seed_norm",
      .all_params = {{
          {.param = Param::kAlpha,
           .role = ParamRole::kDynamic,
           .state_name = "alpha",
           .initial_value = 1,
           .absent_value = 1,
           .forms = {Form::kVector, Form::kScalar, Form::kNone}},
          {.param = Param::kBeta, .role = ParamRole::kDynamic, .state_name = "beta"},
          {.param = Param::kGammaC,
           .role = ParamRole::kCondition,
           .state_name = "gamma_c",
           .shape = ParamKind::kPerSample},
          {.param = Param::kEtaC,
           .role = ParamRole::kCondition,
           .state_name = "eta_c",
           .shape = ParamKind::kPerSample},
      }},
      .num_stats = [](const Options& o) -> int64_t { return 1 + o.num_heads; },
      .has_eps = true,
      .has_heads = true,
      .has_sigma = true,
      .has_dropout = true,
  };
}

}  // namespace seednorm::ada_seed_norm
#endif  // SEEDNORM_NORMS_ADA_SEED_NORM_ONCE_

#if defined(SEEDNORM_NORMS_ADA_SEED_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_ADA_SEED_NORM_INL_H_
#undef SEEDNORM_NORMS_ADA_SEED_NORM_INL_H_
#else
#define SEEDNORM_NORMS_ADA_SEED_NORM_INL_H_
#endif

#include "core/cpu/seed-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::ada_seed_norm::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

// Calls work(first, last, sample) for the rows of each sample within [begin, end).
template <class Work>
HWY_INLINE void for_samples(const KernelArgs& args, int64_t begin, int64_t end, const Work& work) {
  for (int64_t r = begin; r < end;) {
    const int64_t sample = r / args.rows_per_sample;
    const int64_t last = HWY_MIN(end, (sample + 1) * args.rows_per_sample);
    work(r, last, sample);
    r = last;
  }
}

template <class T>
void forward_typed(const KernelArgs& args, int64_t begin, int64_t end) {
  const auto run = [&](auto policy) HWY_ATTR {
    for_samples(args, begin, end, [&](int64_t first, int64_t last, int64_t sample) HWY_ATTR {
      policy.condition.set_sample(sample);
      run_forward<T, false>(args, policy, first, last);
    });
  };
  with_loops<T>(args, [&](auto loops) HWY_ATTR { run(SeedForward<T, loops, true>(args)); });
}

template <class T>
void backward_typed(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  const auto run = [&](auto policy) HWY_ATTR {
    using Pass = BackwardPass<decltype(policy), T>;
    const Pass pass(args, policy, chunk);
    pass.clear(0, Pass::Policy::kSlots);
    const Slots slots = slots_of(info());
    // Where chunks hold whole samples, a sample's gradients are complete when its rows are done.
    for_samples(args, begin, end, [&](int64_t first, int64_t last, int64_t sample) HWY_ATTR {
      policy.condition.set_sample(sample);
      for (int slot = 0; slot < slots.count; ++slot) {
        if (is_per_sample(slots.params[slot])) pass.clear(slot, slot + 1);
      }
      RowEngine<Pass, T>(pass).run(first, last);
      if (pass.slots == nullptr || args.chunks_per_sample > 0) return;
      for (int slot = 0; slot < slots.count; ++slot) {
        const View& grad = args.grad(slots.params[slot]);
        if (is_per_sample(slots.params[slot]) && grad)
          finish_chunks<T>(args, slots, slot, chunk, 1, sample * grad.stride, false);
      }
    });
    if (args.stream) hwy::FlushStream();
  };
  with_loops<T>(args, [&](auto loops) HWY_ATTR { run(SeedBackward<T, loops, true>(args)); });
}

}  // namespace seednorm::ada_seed_norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_ADA_SEED_NORM_INL_H_
