// Runs a policy over rows: chooses the pass of the engine and its switches.
#if defined(SEEDNORM_CORE_CPU_RUN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_RUN_INL_H_
#undef SEEDNORM_CORE_CPU_RUN_INL_H_
#else
#define SEEDNORM_CORE_CPU_RUN_INL_H_
#endif

#include "core/cpu/backward-inl.h"
#include "core/cpu/forward-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// Base of policies whose rows are one segment each.
struct SingleSegment {
  static constexpr void begin_rows(int) {}
  static constexpr size_t num_segments() { return 1; }
  static constexpr size_t segment_cols() { return 0; }
  template <class State>
  HWY_INLINE void begin_segment(size_t, int, State&) const {}
  template <int R, class Sums>
  HWY_INLINE void end_segment(size_t, int, Sums*) const {}
};

template <class T, bool kResidualAllowed = true, class Policy>
HWY_INLINE void run_forward(const KernelArgs& args, Policy& policy, int64_t begin, int64_t end) {
  const auto run = [&]<bool kResidual>(std::bool_constant<kResidual>) HWY_ATTR {
    using Pass = ForwardPass<Policy, T, kResidual>;
    RowEngine<Pass, T>(Pass{args, policy}).run(begin, end);
    if (args.stream) hwy::FlushStream();
  };
  if constexpr (kResidualAllowed) {
    if (args.residual.data != nullptr) return run(std::true_type());
  }
  run(std::false_type());
}

template <class T, class Policy>
HWY_INLINE void run_backward(const KernelArgs& args, Policy& policy, int64_t begin, int64_t end,
                             int64_t chunk) {
  using Pass = BackwardPass<Policy, T>;
  const Pass pass(args, policy, chunk);
  pass.clear(0, Policy::kSlots);
  RowEngine<Pass, T>(pass).run(begin, end);
  if (args.stream) hwy::FlushStream();
}

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_RUN_INL_H_
