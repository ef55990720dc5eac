// The backward counterpart of row_engine-inl.h: reads x and dy once from memory, writes dx, and keeps
// the parameter gradients of its chunk of rows as rows of partial sums ("slots").
//
// A block's contribution to a slot is summed in registers over its R rows and added to the slot once, so
// that the slots' traffic to the cache and the depth of the sums are both divided by R.
#if defined(SEEDNORM_CORE_CPU_BACKWARD_ENGINE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_BACKWARD_ENGINE_INL_H_
#undef SEEDNORM_CORE_CPU_BACKWARD_ENGINE_INL_H_
#else
#define SEEDNORM_CORE_CPU_BACKWARD_ENGINE_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "core/cpu/row_engine-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// Elements of one slot: D rounded up so that whole units fit.
inline int64_t padded_dim(int64_t dim) { return (dim + kMaxUnit - 1) / kMaxUnit * kMaxUnit; }

// What a backward policy gives, beside what a forward policy gives (see row_engine-inl.h):
//   kSlots                         rows of partial sums
//   accumulate(cols, row, i, x, g, c, sums)
//   map(cols, state, row, i, x, g, c, total) -> dx    adds the row's contributions to total[kSlots]
template <class Policy, class T>
class BackwardEngine {
 public:
  using A = Acc<T>;

  BackwardEngine(const KernelArgs& args, Policy& policy, int64_t chunk)
      : args_(args), policy_(policy), dim_(args.dim), padded_(padded_dim(args.dim)) {
    if (args.partials != nullptr) slots_ = static_cast<A*>(args.partials) + chunk * Policy::kSlots * padded_;
  }

  // Slots begin at zero; rows may then come in several calls.
  void clear(int first_slot, int last_slot) {
    if (slots_ != nullptr) std::memset(slot(first_slot), 0, (last_slot - first_slot) * padded_ * sizeof(A));
  }
  A* slot(int s) const { return slots_ == nullptr ? nullptr : slots_ + s * padded_; }

  HWY_NOINLINE void rows(int64_t r, int64_t end) {
    if constexpr (kRows > 1 && Policy::kReduces) {
      if (r + kRows <= end) r = args_.stream ? blocks<true>(r, end) : blocks<false>(r, end);
    }
    for (; r < end; ++r) single(r);
  }

 private:
  // Where the rows of a block are.
  template <int R>
  struct Pointers {
    const T *x, *dy, *dsum;
    T* dx;
    int64_t x_stride, dy_stride, dsum_stride, dx_stride;

    Pointers(const KernelArgs& args, int64_t row)
        : x(row_ptr<T>(args.x, row)),
          dy(row_ptr<T>(args.dy, row)),
          dsum(args.dsum.data == nullptr ? nullptr : row_ptr<T>(args.dsum, row)),
          dx(row_ptr<T>(args.dx, row)),
          x_stride(args.x.stride),
          dy_stride(args.dy.stride),
          dsum_stride(args.dsum.stride),
          dx_stride(args.dx.stride) {}

    HWY_INLINE void prefetch_row(int i, size_t c) const {
      prefetch(x + i * x_stride + c);
      prefetch(dy + i * dy_stride + c);
    }
  };

  static constexpr size_t kAhead = kPrefetchBytes / sizeof(T);
  static constexpr int kRows = requires { Policy::kOneRow; } ? 1 : kBlockRows<T>;
  using Cols = typename Policy::Cols;
  using Sums = typename Policy::Sums;
  using State = typename Policy::State;

  template <bool kStream>
  HWY_NOINLINE int64_t blocks(int64_t r, int64_t end) {
    constexpr int R = kRows;
    State states[R];
    Sums sums[R];
    for (int i = 0; i < R; ++i) sum_row(r + i, i, sums[i]);
    policy_.template finish<R>(sums, r, states);
    for (; r + 2 * R <= end; r += R) {
      sweep<R, true, true, kStream>(r, r + R, r + 3 * R <= end ? r + 2 * R : r + R, 0, sums, states);
      policy_.template finish<R>(sums, r + R, states);
    }
    for (int i = 0; i < R; ++i) map_row(r + i, i, states[i]);
    return r + R;
  }

  HWY_NOINLINE void single(int64_t r) {
    State state;
    Sums sums;
    if constexpr (Policy::kReduces) sum_row(r, 0, sums);
    policy_.template finish<1>(&sums, r, &state);
    map_row(r, 0, state);
  }
  HWY_NOINLINE void sum_row(int64_t r, int i, Sums& sums) {
    sweep<1, false, true, false>(0, r, r, i, &sums, nullptr);
  }
  HWY_NOINLINE void map_row(int64_t r, int i, State& state) {
    sweep<1, true, false, false>(r, r, r, i, nullptr, &state);
  }

  // One pass over the columns: maps rows cur .. cur + R - 1 and takes the sums of rows next .. next + R - 1;
  // `after` is the block that the prefetch goes on to. The rows are the block's first + 0 .. first + R - 1.
  // Pointers, sums and states are locals whose address never leaves: stores through vector pointers may alias
  // anything else, which would then be read again for every unit.
  template <int R, bool kMap, bool kReduce, bool kStream>
  HWY_INLINE void sweep(int64_t cur, int64_t next, int64_t after, int first, Sums* sums, State* states) {
    const size_t unit = unit_cols<T>();
    const size_t dim = dim_;
    const size_t num_segments = policy_.num_segments();
    const size_t segment_cols = policy_.segment_cols();
    const Pointers<R> at(args_, cur), from(args_, next), far(args_, after);
    A* const slots = slots_;
    Sums local[R];
    State state[R];
    unroll<R>([&](auto i) SEEDNORM_LAMBDA {
      if constexpr (kReduce) local[i] = policy_.begin_sums();
      if constexpr (kMap) state[i] = states[i];
    });
    size_t c = 0;
    for (size_t h = 0; h < num_segments; ++h) {
      const size_t end = h + 1 == num_segments ? dim : c + segment_cols;
      if constexpr (kMap)
        unroll<R>([&](auto i) SEEDNORM_LAMBDA { policy_.begin_segment(h, first + i, state[i]); });
      for (; c + unit <= end; c += unit) {
        const Cols cols = policy_.template cols<kMap, kReduce>(c);
        // The column kAhead further down the stream of this block and the one after it.
        const bool wrap = c + kAhead >= dim;
        const Pointers<R>& ahead = wrap ? far : from;
        const size_t ahead_col = wrap ? HWY_MIN(c + kAhead - dim, dim - 1) : c + kAhead;
        Unit<T> total[Policy::kSlots];
        if constexpr (kMap) clear_total(total);
        if constexpr (kStream) {  // order of loads and stores: see row_engine-inl.h
          unroll<R>([&](auto i) SEEDNORM_LAMBDA {
            ahead.prefetch_row(i, ahead_col);
            const Unit<T> dx = map_unit<false>(at, i, cols, state[i], cur + i, first + i, c, unit, total);
            store_cols<T, kStream>(dx, at.dx + i * at.dx_stride + c);
            sum_unit_of(from, i, cols, next + i, first + i, c, local[i]);
          });
        } else {
          Unit<T> dx[R];
          unroll<R>([&](auto i) SEEDNORM_LAMBDA {
            if constexpr (kReduce) sum_unit_of(from, i, cols, next + i, first + i, c, local[i]);
          });
          if constexpr (kMap) {
            unroll<R>([&](auto i) SEEDNORM_LAMBDA {
              dx[i] = map_unit<false>(at, i, cols, state[i], cur + i, first + i, c, unit, total);
            });
            unroll<R>([&](auto i) SEEDNORM_LAMBDA { store_unit(dx[i], at.dx + i * at.dx_stride + c); });
          }
        }
        if constexpr (kMap) {
          if (slots != nullptr) add_to_slots(total, slots + c);
        }
      }
      if (c < end) {
        unroll<R>([&](auto i) SEEDNORM_LAMBDA {
          if constexpr (kMap) {
            State copy = state[i];
            partial_map(copy, cur + i, first + i, c, end - c);
          }
          if constexpr (kReduce) {
            Sums copy = local[i];
            partial_sum(next + i, first + i, c, end - c, copy);
            local[i] = copy;
          }
        });
        c = end;
      }
      if constexpr (kReduce) policy_.template end_segment<R>(h, first, local);
    }
    if constexpr (kReduce) unroll<R>([&](auto i) SEEDNORM_LAMBDA { sums[i] = local[i]; });
  }

  template <bool kPartial, int R>
  HWY_INLINE Unit<T> map_unit(const Pointers<R>& at, int i, const Cols& cols, const State& state, int64_t row,
                              int in_block, size_t c, size_t n, Unit<T>* total) {
    const Unit<T> x = load_cols<T, kPartial>(at.x + i * at.x_stride + c, n);
    const Unit<T> g = load_cols<T, kPartial>(at.dy + i * at.dy_stride + c, n);
    Unit<T> dx = policy_.map(cols, state, row, in_block, x, g, c, total);
    if (at.dsum != nullptr) {
      dx = add_units<T>(dx, load_cols<T, kPartial>(at.dsum + i * at.dsum_stride + c, n));
    }
    return dx;
  }
  template <int R>
  HWY_INLINE void sum_unit_of(const Pointers<R>& from, int i, const Cols& cols, int64_t row, int in_block,
                              size_t c, Sums& sums) {
    const Unit<T> x = load_unit(from.x + i * from.x_stride + c);
    const Unit<T> g = load_unit(from.dy + i * from.dy_stride + c);
    policy_.accumulate(cols, row, in_block, x, g, c, sums);
  }
  static HWY_INLINE void clear_total(Unit<T>* total) {
    unroll<Policy::kSlots>([&](auto s) SEEDNORM_LAMBDA { total[s] = zero_unit<T>(); });
  }
  HWY_INLINE void add_to_slots(const Unit<T>* total, A* slots) const {
    unroll<Policy::kSlots>([&](auto s) SEEDNORM_LAMBDA {
      A* slot = slots + s * padded_;
      store_unit_order(add_units<T>(load_unit_order<T>(slot), total[s]), slot);
    });
  }
  // The last, incomplete unit, apart from the loops: it is rare, and they compile better without it. Row by
  // row; lanes beyond the row hold whatever the parameters make of zeros and are cut off.
  HWY_NOINLINE void partial_map(const State& state, int64_t row, int i, size_t c, size_t n) {
    Unit<T> total[Policy::kSlots];
    clear_total(total);
    const Pointers<1> at(args_, row);
    store_partial(map_unit<true>(at, 0, policy_.template cols<true, false>(c), state, row, i, c, n, total),
                  at.dx + c, n);
    for (int s = 0; s < Policy::kSlots; ++s) total[s] = keep_first<T>(total[s], n);
    if (slots_ != nullptr) add_to_slots(total, slots_ + c);
  }
  HWY_NOINLINE void partial_sum(int64_t row, int i, size_t c, size_t n, Sums& sums) {
    const Unit<T> x = load_partial(row_ptr<T>(args_.x, row) + c, n);
    const Unit<T> g = load_partial(row_ptr<T>(args_.dy, row) + c, n);
    policy_.accumulate(policy_.template cols<false, true>(c), row, i, x, g, c, sums);
  }

  const KernelArgs& args_;
  Policy& policy_;
  const size_t dim_;
  const int64_t padded_;
  A* slots_ = nullptr;
};

// Sums one slot over `num_chunks` chunks from `first` in double, in order, and stores it at element `offset`
// of the gradient: D values, or their sum.
template <class T>
HWY_NOINLINE void finish_chunks(const KernelArgs& args, const Slots& slots, int64_t slot, int64_t first,
                                int64_t num_chunks, int64_t offset, bool scalar) {
  const View& grad = args.grads[static_cast<int>(slots.params[slot])];
  const int64_t padded = padded_dim(args.dim);
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

// One slot's parameter gradient. Those per sample are complete already when chunks hold whole samples.
template <class T>
void finish_slot(const KernelArgs& args, const Slots& slots, int64_t num_chunks, int64_t slot) {
  const Param param = slots.params[slot];
  const View& grad = args.grads[static_cast<int>(param)];
  if (grad.data == nullptr) return;
  if (param != Param::kGammaC && param != Param::kEtaC) {
    const bool scalar = args.params[static_cast<int>(param)].mask == 0;
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

#endif  // SEEDNORM_CORE_CPU_BACKWARD_ENGINE_INL_H_
