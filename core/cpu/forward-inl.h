// The forward pass for RowEngine: reads x (and the residual), writes y (and their sum).
#if defined(SEEDNORM_CORE_CPU_FORWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_FORWARD_INL_H_
#undef SEEDNORM_CORE_CPU_FORWARD_INL_H_
#else
#define SEEDNORM_CORE_CPU_FORWARD_INL_H_
#endif

#include "core/cpu/row_engine-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// The interface of a forward policy, in addition to RowPolicy. x is the row's unit at `at`.
template <class P, class T>
concept SumsForward = requires(P policy, typename P::Cols cols, Unit<T> x, At at, typename P::Sums sums) {
  policy.accumulate(cols, x, at, sums);
};
// LayerNorm's second pass over the block, which follows the sums of the first one.
template <class P, class T>
concept SumsTwice = requires(P policy, Unit<T> x, At at, typename P::State state, typename P::Sums sums) {
  policy.template finish_first<1>(&sums, &state);
  policy.template accumulate_second<true>(x, at, state, sums);
};
template <class P, class T>
concept ForwardPolicy =
    RowPolicy<P, T> && (!P::kReduces || SumsForward<P, T>)&&(!P::kCentred || SumsTwice<P, T>)&&requires(
                           P policy, typename P::Cols cols, typename P::State state, Unit<T> x, At at) {
      { policy.map(cols, state, x, at) } -> std::same_as<Unit<T>>;  // y
    };

template <class PolicyType, class T, bool kResidual>
  requires ForwardPolicy<PolicyType, T>
struct ForwardPass {
  using Policy = PolicyType;
  using Cols = typename Policy::Cols;
  using Sums = typename Policy::Sums;
  using State = typename Policy::State;

  const KernelArgs& args;
  Policy& policy;

  template <int R>
  struct Rows {
    const T *x, *residual;
    T *y, *sum;
    int64_t x_stride, residual_stride, y_stride, sum_stride;

    Rows(const KernelArgs& args, int64_t row)
        : x(row_ptr<T>(args.x, row)),
          residual(kResidual ? row_ptr<T>(args.residual, row) : nullptr),
          y(row_ptr<T>(args.y, row)),
          sum(kResidual ? row_ptr<T>(args.sum, row) : nullptr),
          x_stride(args.x.stride),
          residual_stride(args.residual.stride),
          y_stride(args.y.stride),
          sum_stride(args.sum.stride) {}

    // The row's values: x, or x + residual as it is stored in `sum`.
    template <bool kPartial>
    HWY_INLINE Unit<T> input(int i, size_t c, size_t n) const {
      const Unit<T> value = load_cols<T, kPartial>(x + i * x_stride + c, n);
      if constexpr (!kResidual) return value;
      return round_to_storage<T>(
          add_units<T>(value, load_cols<T, kPartial>(residual + i * residual_stride + c, n)));
    }
    HWY_INLINE void far(int i, size_t c) const {
      prefetch_far(x + i * x_stride + c);
      if constexpr (kResidual) prefetch_far(residual + i * residual_stride + c);
    }
    HWY_INLINE void near(int i, size_t c) const {
      prefetch_near(x + i * x_stride + c);
      if constexpr (kResidual) prefetch_near(residual + i * residual_stride + c);
    }
  };

  struct Out {
    Unit<T> sum, y;
  };
  struct Totals {};  // forward sums nothing over rows
  HWY_INLINE Totals begin_totals() const { return {}; }
  HWY_INLINE void add_totals(const Totals&, size_t) const {}
  HWY_INLINE void add_partial_totals(const Totals&, size_t, size_t) const {}

  template <bool kPartial, int R>
  HWY_INLINE void accumulate(const Rows<R>& rows, int i, const Cols& cols, const At& at, Sums& sums) const {
    policy.accumulate(cols, rows.template input<kPartial>(i, at.c, at.n), at, sums);
  }
  template <bool kPartial, int R>
  HWY_INLINE Out map(const Rows<R>& rows, int i, const Cols& cols, const State& state, const At& at,
                     Totals&) const {
    const Unit<T> x = rows.template input<kPartial>(i, at.c, at.n);
    return {x, policy.map(cols, state, x, at)};
  }
  template <bool kStream, int R>
  HWY_INLINE void store(const Out& out, const Rows<R>& at, int i, size_t c) const {
    if constexpr (kResidual) store_cols<T, kStream>(out.sum, at.sum + i * at.sum_stride + c);
    store_cols<T, kStream>(out.y, at.y + i * at.y_stride + c);
  }
  HWY_INLINE void store_partial(const Out& out, const Rows<1>& at, size_t c, size_t n) const {
    if constexpr (kResidual) HWY_NAMESPACE::store_partial(out.sum, at.sum + c, n);
    HWY_NAMESPACE::store_partial(out.y, at.y + c, n);
  }

  template <int R>
  HWY_INLINE void finish(Sums* sums, int64_t row, State* states) const {
    if constexpr (Policy::kCentred) {
      policy.template finish_first<R>(sums, states);
      const size_t unit = unit_cols<T>(), dim = static_cast<size_t>(args.dim);
      size_t c = 0;
      for (; c + unit <= dim; c += unit) second<R, false>(row, c, unit, sums, states);
      if (c < dim) second<R, true>(row, c, dim - c, sums, states);
    }
    policy.template finish<R>(sums, row, states);
  }
  template <int R, bool kPartial>
  HWY_INLINE void second(int64_t row, size_t c, size_t n, Sums* sums, const State* states) const {
    for (int i = 0; i < R; ++i) {
      const Unit<T> x = Rows<1>(args, row + i).template input<kPartial>(0, c, n);
      policy.template accumulate_second<kPartial>(x, At{row + i, i, c, n}, states[i], sums[i]);
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_FORWARD_INL_H_
