// The loops every row-wise norm runs in: blocks of rows, one sweep over the columns that finishes one
// block and starts the next.
//
// A norm reads its row twice: once for its sums, once for its output. Done one after the other, the
// memory would idle while the second pass works from the cache. So the sweep that maps block b (from the
// cache) also takes the sums of block b + 1 (from memory) and prefetches a little further down the same
// stream: memory sees one even stream of reads beside one of writes, like a copy.
//
// Letters: R rows a block (template), D width, c column, k vector within a unit.
#if defined(SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_
#undef SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_
#else
#define SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_
#endif

#include "core/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// Rows a block: each load of a parameter serves so many rows. More would push the rows of two blocks out
// of the first-level cache (four rows of 2,048 float32 are 32 KB) without saving much more.
// float64 and the scalar target are for checks: one row at a time compiles faster.
template <class T>
constexpr int kBlockRows = std::is_same_v<T, double> || HWY_TARGET == HWY_SCALAR ? 1 : 4;

// Bytes of a row that the prefetch runs ahead of the sums. Times kBlockRows it is the 4 KB that cover the
// memory's latency (about 100 ns) at a core's share of its bandwidth (about 20 GB/s); see docs/notes.
constexpr size_t kPrefetchBytes = 1024;

// Into the second-level cache: it has room for more misses under way than the first.
HWY_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

template <class T>
HWY_INLINE const T* row_ptr(const RowsRef& rows, int64_t r) {
  return static_cast<const T*>(rows.data) + r * rows.stride;
}
template <class T>
HWY_INLINE T* row_ptr(const MutableRowsRef& rows, int64_t r) {
  return static_cast<T*>(rows.data) + r * rows.stride;
}

template <class T>
HWY_INLINE Unit<T> add_units(const Unit<T>& a, const Unit<T>& b) {
  Unit<T> out;
  for (int k = 0; k < kVecs<T>; ++k) out.v[k] = hn::Add(a.v[k], b.v[k]);
  return out;
}

template <class T, bool kPartial>
HWY_INLINE Unit<T> load_cols(const T* p, size_t n) {
  if constexpr (kPartial) return load_partial(p, n);
  return load_unit(p);
}
template <class T, bool kStream>
HWY_INLINE void store_cols(const Unit<T>& u, T* p) {
  if constexpr (kStream) {
    stream_unit(u, p);
  } else {
    store_unit(u, p);
  }
}
// ------------------------------------------------------------------ forward
// What a forward policy gives (T the data's type):
//   kReduces        whether the row is read for sums first; false: the sweep only maps
//   kCentred        whether a second pass over the sums' block follows (`accumulate_second`), LayerNorm's
//   Cols            parameters of a unit;            cols<kMap, kReduce>(c)
//   Sums            a row's running sums;            begin_sums() and accumulate(cols, x, c, i, sums)
//   State           a row's finished scalars;        finish<R>(sums, row, states)
//   map(cols, state, row, i, x, c) -> y              row: in the call, i: in the block
//   num_segments(), segment_cols()                   heads, if units do not straddle them
//   begin_segment(h, i, state)                       loads what changes with the head, for mapping
//   end_segment<R>(h, first, sums)                   stores the head's sums of R rows, for summing
template <class Policy, class T, bool kResidual>
class ForwardEngine {
 public:
  ForwardEngine(const KernelArgs& args, Policy& policy) : args_(args), policy_(policy), dim_(args.dim) {}

  HWY_INLINE void run(int64_t begin, int64_t end) {
    int64_t r = begin;
    if constexpr (kRows > 1 && Policy::kReduces) {
      if (r + kRows <= end) r = args_.stream ? blocks<true>(r, end) : blocks<false>(r, end);
    }
    for (; r < end; ++r) single(r);
  }

 private:
  // Where the rows of a block are.
  template <int R>
  struct Pointers {
    const T *x, *residual;
    T *y, *sum;
    int64_t x_stride, residual_stride, y_stride, sum_stride;

    Pointers(const KernelArgs& args, int64_t row)
        : x(row_ptr<T>(args.x, row)),
          residual(kResidual ? row_ptr<T>(args.residual, row) : nullptr),
          y(row_ptr<T>(args.y, row)),
          sum(kResidual ? row_ptr<T>(args.sum, row) : nullptr),
          x_stride(args.x.stride),
          residual_stride(args.residual.stride),
          y_stride(args.y.stride),
          sum_stride(args.sum.stride) {}

    // The row's values: x, or x + residual as `sum` holds it.
    template <bool kPartial>
    HWY_INLINE Unit<T> input(int i, size_t c, size_t n) const {
      const Unit<T> value = load_cols<T, kPartial>(x + i * x_stride + c, n);
      if constexpr (!kResidual) return value;
      return round_to_storage<T>(
          add_units<T>(value, load_cols<T, kPartial>(residual + i * residual_stride + c, n)));
    }
    HWY_INLINE void prefetch_row(int i, size_t c) const {
      prefetch(x + i * x_stride + c);
      if constexpr (kResidual) prefetch(residual + i * residual_stride + c);
    }
  };

  static constexpr size_t kAhead = kPrefetchBytes / sizeof(T);
  // Policies may ask for one row at a time (`kOneRow`).
  static constexpr int kRows = requires { Policy::kOneRow; } ? 1 : kBlockRows<T>;
  using Cols = typename Policy::Cols;
  using Sums = typename Policy::Sums;
  using State = typename Policy::State;

  // The first block's sums and the last block's map stand alone, a row at a time; all else is fused. kStream:
  // results go past the caches.
  template <bool kStream>
  HWY_NOINLINE int64_t blocks(int64_t r, int64_t end) {
    constexpr int R = kRows;
    State states[R];
    Sums sums[R];
    for (int i = 0; i < R; ++i) sum_row(r + i, i, sums[i]);
    finish<R>(sums, r, states);
    for (; r + 2 * R <= end; r += R) {
      sweep<R, true, true, kStream>(r, r + R, r + 3 * R <= end ? r + 2 * R : r + R, 0, sums, states);
      finish<R>(sums, r + R, states);
    }
    for (int i = 0; i < R; ++i) map_row(r + i, i, states[i]);
    return r + R;
  }

  HWY_NOINLINE void single(int64_t r) {
    State state;
    Sums sums;
    if constexpr (Policy::kReduces) {
      sum_row(r, 0, sums);
      finish<1>(&sums, r, &state);
    }
    map_row(r, 0, state);
  }
  HWY_NOINLINE void sum_row(int64_t r, int i, Sums& sums) {
    sweep<1, false, true, false>(0, r, r, i, &sums, nullptr);
  }
  HWY_NOINLINE void map_row(int64_t r, int i, State& state) {
    sweep<1, true, false, false>(r, r, r, i, nullptr, &state);
  }

  template <int R>
  HWY_INLINE void finish(Sums* sums, int64_t row, State* states) {
    if constexpr (Policy::kCentred) {
      policy_.template finish_first<R>(sums, states);
      const size_t unit = unit_cols<T>();
      size_t c = 0;
      for (; c + unit <= dim_; c += unit) second<R, false>(row, c, unit, sums, states);
      if (c < dim_) second<R, true>(row, c, dim_ - c, sums, states);
    }
    policy_.template finish<R>(sums, row, states);
  }
  template <int R, bool kPartial>
  HWY_INLINE void second(int64_t row, size_t c, size_t n, Sums* sums, const State* states) {
    for (int i = 0; i < R; ++i) {
      const Unit<T> x = Pointers<1>(args_, row + i).template input<kPartial>(0, c, n);
      policy_.template accumulate_second<kPartial>(x, n, states[i], sums[i]);
    }
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
        if constexpr (kStream) {  // past the caches: reads and writes take turns, as in the fastest copy
          unroll<R>([&](auto i) SEEDNORM_LAMBDA {
            ahead.prefetch_row(i, ahead_col);
            store_unit_of<kStream>(at, i, at.template input<false>(i, c, unit), cols, state[i], cur + i,
                                   first + i, c);
            policy_.accumulate(cols, from.template input<false>(i, c, unit), c, first + i, local[i]);
          });
        } else {
          // All loads before all stores: rows a multiple of 4 KB apart, as they usually are, share the
          // address bits by which the processor matches loads with earlier stores, and a load behind such a
          // store waits for it.
          Unit<T> x[R];
          unroll<R>([&](auto i) SEEDNORM_LAMBDA {
            if constexpr (kReduce) {
              policy_.accumulate(cols, from.template input<false>(i, c, unit), c, first + i, local[i]);
            }
            if constexpr (kMap) x[i] = at.template input<false>(i, c, unit);
          });
          if constexpr (kMap) {
            unroll<R>([&](auto i) SEEDNORM_LAMBDA {
              store_unit_of<kStream>(at, i, x[i], cols, state[i], cur + i, first + i, c);
            });
          }
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

  template <bool kStream, int R>
  HWY_INLINE void store_unit_of(const Pointers<R>& at, int i, const Unit<T>& x, const Cols& cols,
                                const State& state, int64_t row, int in_block, size_t c) {
    if constexpr (kResidual) store_cols<T, kStream>(x, at.sum + i * at.sum_stride + c);
    store_cols<T, kStream>(policy_.map(cols, state, row, in_block, x, c), at.y + i * at.y_stride + c);
  }
  // The last, incomplete unit, apart from the loops: it is rare, and they compile better without it.
  HWY_NOINLINE void partial_map(const State& state, int64_t row, int i, size_t c, size_t n) {
    const Pointers<1> at(args_, row);
    const Unit<T> x = at.template input<true>(0, c, n);
    if constexpr (kResidual) store_partial(x, at.sum + c, n);
    store_partial(policy_.map(policy_.template cols<true, false>(c), state, row, i, x, c), at.y + c, n);
  }
  HWY_NOINLINE void partial_sum(int64_t row, int i, size_t c, size_t n, Sums& sums) {
    const Unit<T> x = Pointers<1>(args_, row).template input<true>(0, c, n);
    policy_.accumulate(policy_.template cols<false, true>(c), x, c, i, sums);
  }

  const KernelArgs& args_;
  Policy& policy_;
  const size_t dim_;
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_
