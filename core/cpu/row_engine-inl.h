// The loop that every row-wise norm runs in, forward and backward: over blocks of rows, in sweeps over the
// columns that finish one block and start the next.
//
// A norm reads its row twice: once for its sums, once for its output. If one pass followed the other, the
// memory would idle while the second pass works from the cache. So the sweep that maps block b (from the
// cache) also sums block b + 1 (from memory) and prefetches a little further ahead in the same stream. The
// memory then gets one even stream of reads beside one of writes, as in a copy.
//
// Letters: R rows per block (template), D width, c column, k vector within a unit.
#if defined(SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_
#undef SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_
#else
#define SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_
#endif

#include <concepts>

#include "core/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// Rows per block. This many rows share a load of a parameter, and a sweep has this many independent sums.
// Eight are slower in backward, where two blocks of x and dy beside the partial sums do not fit in the
// second-level cache (docs/notes/cpu_kernels.md). float64 and the scalar target are for checks; one row at a
// time compiles faster.
template <class T>
constexpr int kBlockRows = std::is_same_v<T, double> || HWY_TARGET == HWY_SCALAR ? 1 : 4;

// The distance in bytes between prefetch and sums in a row. Times kBlockRows it is the 4 KB that cover the
// memory's latency (about 100 ns) at a core's share of its bandwidth (about 20 GB/s); see docs/notes.
constexpr size_t kPrefetchBytes = 1024;
// The distance at which forward then fetches from the second-level cache into the first, a few hundred cycles
// before the loads: a load that waits for a fill buffer that a store holds delays all loads that follow it.
constexpr size_t kNearBytes = 512;

// Prefetches from memory into the second-level cache only, which supports more misses in flight than the
// first.
HWY_INLINE void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }
HWY_INLINE void prefetch_near(const void* p) { __builtin_prefetch(p, 0, 3); }

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
  for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { out.v[k] = hn::Add(a.v[k], b.v[k]); });
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

// A unit of a row, or the part of one at the end of the row.
struct At {
  int64_t row;   // the row's number in the call
  int in_block;  // the row's place in its block
  size_t c;      // first column
  size_t n;      // columns
};

// The interface of a policy for both passes, where T is the data's type. If a policy lacks a part, the
// compile error shows the line that requires it.
template <class P, class T>
concept RowPolicy = requires(P policy, typename P::Params params, typename P::State state,
                             typename P::Sums sums) {
  { P::kReduces } -> std::convertible_to<bool>;  // whether the row is read for sums before it is mapped
  // Params are the parameters, pointers only; cols<kMap, kReduce>(c) loads those of the unit at column c.
  { policy.params() } -> std::same_as<typename P::Params>;
  { params.template cols<true, true>(size_t{}) } -> std::same_as<typename P::Cols>;
  // Sums are a row's running sums; finish<R>(sums, row, states) makes the States of R rows of them.
  { policy.begin_sums() } -> std::same_as<typename P::Sums>;
  policy.template finish<1>(&sums, int64_t{}, &state);
  policy.begin_rows(1);  // the calls that follow work on blocks of so many rows
  // Segments are heads, if no unit straddles two of them.
  { policy.num_segments() } -> std::convertible_to<size_t>;
  { policy.segment_cols() } -> std::convertible_to<size_t>;
  policy.begin_segment(size_t{}, 0, state);  // segment, row in block: loads what map needs of the head
  policy.template end_segment<1>(size_t{}, 0, &sums);  // segment, first row: stores the head's sums of R rows
};

// A policy with a static member kOneRow works on blocks of one row.
template <class P>
concept OneRowAtATime = requires { P::kOneRow; };

// The interface of a Pass (forward-inl.h, backward-inl.h) for the engine:
//   Rows<R>   where R rows of every tensor are;  far(i, c) and near(i, c) prefetch
//   Out       what a unit of a row stores;       store<kStream>(out, rows, i, c), store_partial
//   Totals    a unit's sums over rows;           begin_totals(), add_totals(totals, c), add_partial_totals
//   accumulate<kPartial>(rows, i, cols, at, sums)
//   map<kPartial>(rows, i, cols, state, at, totals) -> Out
// i is the row's place in Rows.
template <class Pass, class T>
class RowEngine {
 public:
  using Policy = typename Pass::Policy;
  explicit RowEngine(const Pass& pass) : pass_(pass) {}

  HWY_INLINE void run(int64_t begin, int64_t end) {
    int64_t r = begin;
    if constexpr (kRows > 1) {
      if (r + kRows <= end) r = pass_.args.stream ? blocks<true>(r, end) : blocks<false>(r, end);
    }
    for (; r < end; ++r) single(r);
  }

 private:
  static constexpr size_t kAhead = kPrefetchBytes / sizeof(T);
  static constexpr int kRows = OneRowAtATime<Policy> ? 1 : kBlockRows<T>;
  template <int R>
  using Rows = typename Pass::template Rows<R>;
  using Cols = typename Policy::Cols;
  using Sums = typename Policy::Sums;
  using State = typename Policy::State;

  // The sums of the first block and the map of the last one run separately, one row at a time; everything
  // else is fused. With kStream, results bypass the caches.
  template <bool kStream>
  HWY_NOINLINE int64_t blocks(int64_t r, int64_t end) {
    constexpr int R = kRows;
    pass_.policy.begin_rows(R);
    const auto after = [&](int64_t block) { return block + 2 * R <= end ? block + R : block; };
    State states[R];
    Sums sums[R];
    if constexpr (!Policy::kReduces) {
      for (; r + R <= end; r += R) sweep<R, true, false, kStream>(r, r, after(r), 0, sums, states);
      return r;
    } else {
      for (int i = 0; i < R; ++i) sum_row(r + i, i, sums[i]);
      pass_.template finish<R>(sums, r, states);
      for (; r + 2 * R <= end; r += R) {
        sweep<R, true, true, kStream>(r, r + R, after(r + R), 0, sums, states);
        pass_.template finish<R>(sums, r + R, states);
      }
      for (int i = 0; i < R; ++i) map_row(r + i, i, states[i]);
      return r + R;
    }
  }

  HWY_NOINLINE void single(int64_t r) {
    State state;
    Sums sums;
    pass_.policy.begin_rows(1);
    if constexpr (Policy::kReduces) {
      sum_row(r, 0, sums);
      pass_.template finish<1>(&sums, r, &state);
    }
    map_row(r, 0, state);
  }
  HWY_NOINLINE void sum_row(int64_t r, int in_block, Sums& sums) {
    sweep<1, false, true, false>(0, r, r, in_block, &sums, nullptr);
  }
  HWY_NOINLINE void map_row(int64_t r, int in_block, State& state) {
    sweep<1, true, false, false>(r, r, r, in_block, nullptr, &state);
  }

  // One pass over the columns: maps rows cur .. cur + R - 1 and sums rows next .. next + R - 1. `after` is
  // the block with which the prefetch continues. The rows are the block's first + 0 .. first + R - 1.
  template <int R, bool kMap, bool kReduce, bool kStream>
  HWY_INLINE void sweep(int64_t cur, int64_t next, int64_t after, int first, Sums* sums, State* states) {
    Policy& policy = pass_.policy;
    const size_t dim = static_cast<size_t>(pass_.args.dim);
    const size_t num_segments = policy.num_segments();
    const size_t segment_cols = policy.segment_cols();
    const Rows<R> at(pass_.args, cur), from(pass_.args, next), far(pass_.args, after);
    if constexpr (kReduce) {
      for (int i = 0; i < R; ++i) sums[i] = policy.begin_sums();
    }
    size_t c = 0;
    for (size_t h = 0; h < num_segments; ++h) {
      const size_t end = h + 1 == num_segments ? dim : c + segment_cols;
      if constexpr (kMap) {
        for (int i = 0; i < R; ++i) policy.begin_segment(h, first + i, states[i]);
      }
      c = columns<R, kMap, kReduce, kStream>(at, from, far, cur, next, first, c, end, sums, states);
      if (c < end) {
        for (int i = 0; i < R; ++i) {
          if constexpr (kMap) partial_map(states[i], At{cur + i, first + i, c, end - c});
          if constexpr (kReduce) partial_sum(At{next + i, first + i, c, end - c}, sums[i]);
        }
        c = end;
      }
      if constexpr (kReduce) policy.template end_segment<R>(h, first, sums);
    }
  }

  // The whole units of a segment. Everything the loop works on is a local whose address never escapes: stores
  // through vector pointers may alias anything else, which would then be read or written again for every
  // unit, and such stores queue up between the ones that matter.
  template <int R, bool kMap, bool kReduce, bool kStream>
  HWY_INLINE size_t columns(const Rows<R>& at, const Rows<R>& from, const Rows<R>& far, int64_t cur,
                            int64_t next, int first, size_t c, size_t end, Sums* sums, const State* states) {
    const size_t unit = unit_cols<T>();
    const size_t dim = static_cast<size_t>(pass_.args.dim);
    const Pass pass = pass_;
    const auto params = pass.policy.params();
    Sums sum[R];
    State state[R];
    unroll<R>([&](auto i) SEEDNORM_LAMBDA {
      if constexpr (kReduce) sum[i] = sums[i];
      if constexpr (kMap) state[i] = states[i];
    });
    for (; c + unit <= end; c += unit) {
      const Cols cols = params.template cols<kMap, kReduce>(c);
      auto totals = pass.begin_totals();
      if constexpr (kStream) {  // past the caches: reads and writes take turns, as in the fastest copy
        // The column kAhead further down the stream of this block and the one after it.
        const bool wrap = c + kAhead >= dim;
        const Rows<R>& ahead = wrap ? far : from;
        const size_t ahead_col = wrap ? c + kAhead - dim : c + kAhead;
        unroll<R>([&](auto i) SEEDNORM_LAMBDA {
          const At here{cur + i, first + static_cast<int>(i), c, unit};
          ahead.far(i, ahead_col);
          from.near(i, c + kNearBytes / sizeof(T));
          at.near(i, c + kNearBytes / sizeof(T));
          const auto out = pass.template map<false>(at, i, cols, state[i], here, totals);
          pass.template store<kStream>(out, at, i, c);
          if constexpr (kReduce) {
            const At there{next + i, first + static_cast<int>(i), c, unit};
            pass.template accumulate<false>(from, i, cols, there, sum[i]);
          }
        });
      } else {
        // All loads before all stores: rows a multiple of 4 KB apart, as they usually are, share the
        // address bits by which the processor matches loads with earlier stores, and a load behind such a
        // store waits for it.
        typename Pass::Out out[R];
        unroll<R>([&](auto i) SEEDNORM_LAMBDA {
          if constexpr (kReduce) {
            const At there{next + i, first + static_cast<int>(i), c, unit};
            pass.template accumulate<false>(from, i, cols, there, sum[i]);
          }
          if constexpr (kMap) {
            const At here{cur + i, first + static_cast<int>(i), c, unit};
            out[i] = pass.template map<false>(at, i, cols, state[i], here, totals);
          }
        });
        if constexpr (kMap) {
          unroll<R>([&](auto i) SEEDNORM_LAMBDA { pass.template store<kStream>(out[i], at, i, c); });
        }
      }
      if constexpr (kMap) pass.add_totals(totals, c);
    }
    if constexpr (kReduce) unroll<R>([&](auto i) SEEDNORM_LAMBDA { sums[i] = sum[i]; });
    return c;
  }

  // The last, incomplete unit of a row. It is rare, and the loops compile better without it. Lanes beyond the
  // row hold whatever the parameters make of zeros and are cut off.
  HWY_NOINLINE void partial_map(const State& state, const At& at) {
    const Rows<1> rows(pass_.args, at.row);
    auto totals = pass_.begin_totals();
    const Cols cols = pass_.policy.params().template cols<true, false>(at.c);
    pass_.store_partial(pass_.template map<true>(rows, 0, cols, state, at, totals), rows, at.c, at.n);
    pass_.add_partial_totals(totals, at.c, at.n);
  }
  HWY_NOINLINE void partial_sum(const At& at, Sums& sums) {
    const Cols cols = pass_.policy.params().template cols<false, true>(at.c);
    pass_.template accumulate<true>(Rows<1>(pass_.args, at.row), 0, cols, at, sums);
  }

  const Pass pass_;
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_ROW_ENGINE_INL_H_
