// The backward pass for RowEngine: reads x and dy once from memory, writes dx, and keeps the parameter
// gradients of its chunk of rows as rows of partial sums ("slots").
//
// A block's contribution to a slot is summed in registers over its R rows and added to the slot once, so
// that the slots' traffic to the cache and the depth of the sums are both divided by R.
#if defined(SEEDNORM_CORE_CPU_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_BACKWARD_INL_H_
#undef SEEDNORM_CORE_CPU_BACKWARD_INL_H_
#else
#define SEEDNORM_CORE_CPU_BACKWARD_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "core/cpu/row_engine-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// The interface of a backward policy, in addition to RowPolicy. x and g = dy are the row's units at `at`.
template <class P, class T>
concept SumsBackward = requires(P policy, typename P::Cols cols, Unit<T> x, Unit<T> g, At at,
                                typename P::Sums sums) { policy.accumulate(cols, x, g, at, sums); };
template <class P, class T>
concept BackwardPolicy = RowPolicy<P, T> && (!P::kReduces || SumsBackward<P, T>)&&requires(
                                                P policy, typename P::Cols cols, typename P::State state,
                                                Unit<T> x, Unit<T> g, At at, Unit<T>* totals) {
  { P::kSlots } -> std::convertible_to<int>;  // rows of partial sums
  // dx; adds the row's contributions to totals[kSlots].
  { policy.map(cols, state, x, g, at, totals) } -> std::same_as<Unit<T>>;
};

template <class PolicyType, class T>
  requires BackwardPolicy<PolicyType, T>
struct BackwardPass {
  using A = Acc<T>;
  using Policy = PolicyType;
  using Cols = typename Policy::Cols;
  using Sums = typename Policy::Sums;
  using State = typename Policy::State;

  const KernelArgs& args;
  Policy& policy;
  const int64_t padded;
  A* const slots;  // null: no parameter gradient is wanted

  BackwardPass(const KernelArgs& args, Policy& policy, int64_t chunk)
      : args(args),
        policy(policy),
        padded(unit_padded(args.dim)),
        slots(args.partials == nullptr ? nullptr
                                       : static_cast<A*>(args.partials) + chunk * Policy::kSlots * padded) {}

  // Sets slots to zero. Rows can then come in several runs.
  void clear(int first_slot, int last_slot) const {
    if (slots != nullptr) {
      std::memset(slots + first_slot * padded, 0, (last_slot - first_slot) * padded * sizeof(A));
    }
  }

  template <int R>
  struct Rows {
    const T *x, *dy, *dsum;
    T* dx;
    int64_t x_stride, dy_stride, dsum_stride, dx_stride;

    Rows(const KernelArgs& args, int64_t row)
        : x(row_ptr<T>(args.x, row)),
          dy(row_ptr<T>(args.dy, row)),
          dsum(args.dsum.data == nullptr ? nullptr : row_ptr<T>(args.dsum, row)),
          dx(row_ptr<T>(args.dx, row)),
          x_stride(args.x.stride),
          dy_stride(args.dy.stride),
          dsum_stride(args.dsum.stride),
          dx_stride(args.dx.stride) {}

    HWY_INLINE void far(int i, size_t c) const {
      prefetch_far(x + i * x_stride + c);
      prefetch_far(dy + i * dy_stride + c);
    }
    HWY_INLINE void near(int, size_t) const {}  // would cost more than it gains, with twice the streams
  };

  using Out = Unit<T>;
  struct Totals {
    Unit<T> slot[Policy::kSlots];
  };
  HWY_INLINE Totals begin_totals() const {
    Totals totals;
    unroll<Policy::kSlots>([&](auto s) SEEDNORM_LAMBDA { totals.slot[s] = zero_unit<T>(); });
    return totals;
  }
  HWY_INLINE void add_totals(const Totals& totals, size_t c) const {
    if (slots == nullptr) return;
    unroll<Policy::kSlots>([&](auto s) SEEDNORM_LAMBDA {
      A* slot = slots + s * padded + c;
      store_unit_order(add_units<T>(load_unit_order<T>(slot), totals.slot[s]), slot);
    });
  }
  HWY_INLINE void add_partial_totals(Totals totals, size_t c, size_t n) const {
    for (int s = 0; s < Policy::kSlots; ++s) totals.slot[s] = keep_first<T>(totals.slot[s], n);
    add_totals(totals, c);
  }

  template <bool kPartial, int R>
  HWY_INLINE void accumulate(const Rows<R>& rows, int i, const Cols& cols, const At& at, Sums& sums) const {
    const Unit<T> x = load_cols<T, kPartial>(rows.x + i * rows.x_stride + at.c, at.n);
    const Unit<T> g = load_cols<T, kPartial>(rows.dy + i * rows.dy_stride + at.c, at.n);
    policy.accumulate(cols, x, g, at, sums);
  }
  template <bool kPartial, int R>
  HWY_INLINE Out map(const Rows<R>& rows, int i, const Cols& cols, const State& state, const At& at,
                     Totals& totals) const {
    const Unit<T> x = load_cols<T, kPartial>(rows.x + i * rows.x_stride + at.c, at.n);
    const Unit<T> g = load_cols<T, kPartial>(rows.dy + i * rows.dy_stride + at.c, at.n);
    Unit<T> dx = policy.map(cols, state, x, g, at, totals.slot);
    if (rows.dsum != nullptr) {
      dx = add_units<T>(dx, load_cols<T, kPartial>(rows.dsum + i * rows.dsum_stride + at.c, at.n));
    }
    return dx;
  }
  template <bool kStream, int R>
  HWY_INLINE void store(const Out& dx, const Rows<R>& at, int i, size_t c) const {
    store_cols<T, kStream>(dx, at.dx + i * at.dx_stride + c);
  }
  HWY_INLINE void store_partial(const Out& dx, const Rows<1>& at, size_t c, size_t n) const {
    HWY_NAMESPACE::store_partial(dx, at.dx + c, n);
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    policy.template finish<R>(sums, row, states);
  }
};

// Sums one slot over `num_chunks` chunks from `first` in double, in order, and stores it at element `offset`
// of the gradient: D values, or their sum.
template <class T>
HWY_NOINLINE void finish_chunks(const KernelArgs& args, const Slots& slots, int64_t slot, int64_t first,
                                int64_t num_chunks, int64_t offset, bool scalar) {
  const View& grad = args.grad(slots.params[slot]);
  const int64_t padded = unit_padded(args.dim);
  const Acc<T>* partials = static_cast<const Acc<T>*>(args.partials) + (first * slots.count + slot) * padded;
  int64_t natural[kMaxUnit];  // units divide kMaxUnit, so the order within it repeats
  for (int64_t i = 0; i < kMaxUnit; ++i) natural[i] = static_cast<int64_t>(natural_column<T>(i));
  double total = 0;
  for (int64_t begin = 0; begin < padded; begin += kMaxUnit) {
    double sum[kMaxUnit] = {};
    for (int64_t chunk = 0; chunk < num_chunks; ++chunk) {
      const Acc<T>* p = partials + chunk * slots.count * padded + begin;
      for (int64_t i = 0; i < kMaxUnit; ++i) sum[natural[i]] += p[i];
    }
    const int64_t count = std::min(kMaxUnit, args.dim - begin);
    if (scalar) {
      for (int64_t i = 0; i < count; ++i) total += sum[i];
    } else if (grad.dtype == DType::kFloat32) {
      float* out = static_cast<float*>(grad.data) + offset + begin;
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(sum[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) store_scalar(grad.data, grad.dtype, offset + begin + i, sum[i]);
    }
  }
  if (scalar) store_scalar(grad.data, grad.dtype, offset, total);
}

// Stores one slot's gradient. Gradients per sample are already complete if chunks hold whole samples.
template <class T>
void finish_slot(const KernelArgs& args, const Slots& slots, int64_t num_chunks, int64_t slot) {
  const Param param = slots.params[slot];
  const View& grad = args.grad(param);
  if (grad.data == nullptr) return;
  if (!is_per_sample(param)) {
    const bool scalar = args.param(param).mask == 0;
    return finish_chunks<T>(args, slots, slot, 0, num_chunks, 0, scalar);
  }
  if (args.chunks_per_sample == 0) return;
  for (int64_t first = 0, sample = 0; first < num_chunks; first += args.chunks_per_sample, ++sample) {
    finish_chunks<T>(args, slots, slot, first, args.chunks_per_sample, sample * grad.stride, false);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_BACKWARD_INL_H_
