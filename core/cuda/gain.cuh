// Policies of the norms that are a gain times the row times one scale of the row: RMSNorm, ScaleNorm.
#ifndef SEEDNORM_CORE_CUDA_GAIN_CUH_
#define SEEDNORM_CORE_CUDA_GAIN_CUH_

#include "core/cuda/policy_kernels.cuh"
#include "core/kernel/row_scale.h"

namespace seednorm::cuda {

// y = gamma (x scale); Scale::scale(sum of squares, D, eps) gives the row's scale.
template <class T, class Scale>
class GainForward : public NoSharedMemory {
 public:
  using A = Acc<T>;
  static constexpr int kSums = 1;  // squares
  static constexpr bool kCentred = false;
  struct State {
    A scale;
  };

  SEEDNORM_DEVICE GainForward(const KernelArgs& args, const RowGroup<A>&, void*, int)
      : args_(args), gamma_(args.param(Param::kGamma)) {}

  SEEDNORM_DEVICE int sum_cols(int, int) const { return 0; }
  SEEDNORM_DEVICE Vec<T> cols(int c, int n) const { return gamma_.load(c, n); }
  SEEDNORM_DEVICE void accumulate(int, const Vec<T>& x, const At&, A* sums) const {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) sums[0] = std::fma(x.at[e], x.at[e], sums[0]);
  }
  template <int kRows>
  SEEDNORM_DEVICE void finish(const Input<T>&, RowGroup<A>& group, const RowsAtOnce& rows, A (&sums)[kRows],
                              State (&state)[kRows]) const {
    group.sum(sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      state[r].scale = Scale::scale(sums[r], static_cast<A>(args_.dim), static_cast<A>(args_.options.eps));
      if (args_.stats_out != nullptr && group.lane == 0 && rows.has(r)) {
        set_stat(args_, rows.row(r), 0, state[r].scale);
      }
    }
  }
  SEEDNORM_DEVICE Vec<T> map(const Vec<T>& gamma, const State& state, const Vec<T>& x, const At&) const {
    Vec<T> y;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) y.at[e] = gamma.at[e] * (x.at[e] * state.scale);
    return y;
  }

 private:
  const KernelArgs& args_;
  const Columns<T> gamma_;
};

// dx = scale g gamma - x Scale::pull(scale, sum g gamma x, D, eps).
template <class T, class Scale>
class GainBackward : public NoSharedMemory {
 public:
  using A = Acc<T>;
  static constexpr int kSums = 1;  // g gamma x
  static constexpr int kSlots = 1, kSampleSlots = 0;
  struct State {
    A scale, pull;
  };

  SEEDNORM_DEVICE GainBackward(const KernelArgs& args, const RowGroup<A>&, void*, int)
      : args_(args), gamma_(args.param(Param::kGamma)) {}

  SEEDNORM_DEVICE Vec<T> cols(int c, int n) const { return gamma_.load(c, n); }
  SEEDNORM_DEVICE void begin(int64_t row, State& state) const { state.scale = stat<A>(args_, row, 0); }
  SEEDNORM_DEVICE void accumulate(const Vec<T>& gamma, const State&, const Vec<T>& x, const Vec<T>& g,
                                  const At&, A* sums) const {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) sums[0] = std::fma(gamma.at[e], g.at[e] * x.at[e], sums[0]);
  }
  template <int kRows>
  SEEDNORM_DEVICE void finish(RowGroup<A>& group, const RowsAtOnce&, A (&sums)[kRows],
                              State (&state)[kRows]) const {
    group.sum(sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      state[r].pull =
          Scale::pull(state[r].scale, sums[r], static_cast<A>(args_.dim), static_cast<A>(args_.options.eps));
    }
  }
  SEEDNORM_DEVICE Vec<T> map(const Vec<T>& gamma, const State& state, const Vec<T>& x, const Vec<T>& g,
                             const At&, Vec<T>* total) const {
    Vec<T> dx;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const A g_scaled = g.at[e] * state.scale;
      dx.at[e] = std::fma(-x.at[e], state.pull, gamma.at[e] * g_scaled);
      total[0].at[e] = std::fma(g_scaled, x.at[e], total[0].at[e]);
    }
    return dx;
  }

 private:
  const KernelArgs& args_;
  const Columns<T> gamma_;
};

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_GAIN_CUH_
