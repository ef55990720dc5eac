// LayerNorm for GPUs; see layer_norm-inl.h.
#include "core/cuda/policy_kernels.cuh"

namespace seednorm::layer_norm {

using cuda::Acc;
using cuda::Columns;
using cuda::kCols;
using cuda::RowGroup;
using cuda::Vec;

template <class T>
class DeviceForward : public cuda::NoSharedMemory {
 public:
  using A = Acc<T>;
  static constexpr int kSums = 1;  // of x, then of (x - mean)^2
  static constexpr bool kCentred = true;
  struct State {
    A mean, scale;
  };
  struct Cols {
    Vec<T> gamma, beta;
  };

  SEEDNORM_DEVICE DeviceForward(const KernelArgs& args, const RowGroup<A>&, void*, int)
      : args_(args), gamma_(args.param(Param::kGamma)), beta_(args.param(Param::kBeta)) {}

  SEEDNORM_DEVICE int sum_cols(int, int) const { return 0; }
  SEEDNORM_DEVICE Cols cols(int c, int n) const { return {gamma_.load(c, n), beta_.load(c, n)}; }
  SEEDNORM_DEVICE void accumulate(int, const Vec<T>& x, const cuda::At&, A* sums) const {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) sums[0] += x.at[e];
  }
  // After the first pass: the means.
  template <int kRows>
  SEEDNORM_DEVICE void finish_first(RowGroup<A>& group, A (&sums)[kRows], State (&state)[kRows]) const {
    group.sum(sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      state[r].mean = sums[r] / static_cast<A>(args_.dim);
      sums[r] = 0;
    }
  }
  // Second pass. What lies beyond the row holds zero, whose distance from the mean does not count.
  SEEDNORM_DEVICE void accumulate_second(const Vec<T>& x, const cuda::At& at, const State& state,
                                         A* sums) const {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const A centred = e < at.n ? x.at[e] - state.mean : 0;
      sums[0] = std::fma(centred, centred, sums[0]);
    }
  }
  template <int kRows>
  SEEDNORM_DEVICE void finish(const cuda::Input<T>&, RowGroup<A>& group, const cuda::RowsAtOnce& rows,
                              A (&sums)[kRows], State (&state)[kRows]) const {
    group.sum(sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const A variance = sums[r] / static_cast<A>(args_.dim);
      state[r].scale = 1 / std::sqrt(variance + static_cast<A>(args_.options.eps));
      if (args_.stats_out == nullptr || group.lane != 0 || !rows.has(r)) continue;
      cuda::set_stat(args_, rows.row(r), 0, state[r].mean);
      cuda::set_stat(args_, rows.row(r), 1, state[r].scale);
    }
  }
  SEEDNORM_DEVICE Vec<T> map(const Cols& cols, const State& state, const Vec<T>& x, const cuda::At&) const {
    Vec<T> y;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      y.at[e] = std::fma(cols.gamma.at[e], (x.at[e] - state.mean) * state.scale, cols.beta.at[e]);
    }
    return y;
  }

 private:
  const KernelArgs& args_;
  const Columns<T> gamma_, beta_;
};

template <class T>
class DeviceBackward : public cuda::NoSharedMemory {
 public:
  using A = Acc<T>;
  static constexpr int kSums = 2;  // of h, and of h (x - mean)
  static constexpr int kSlots = 2, kSampleSlots = 0;
  struct State {
    A mean, scale, mean_h, pull;  // pull: rstd^2 mean(h (x - mean))
  };

  SEEDNORM_DEVICE DeviceBackward(const KernelArgs& args, const RowGroup<A>&, void*, int)
      : args_(args), gamma_(args.param(Param::kGamma)) {}

  SEEDNORM_DEVICE Vec<T> cols(int c, int n) const { return gamma_.load(c, n); }
  SEEDNORM_DEVICE void begin(int64_t row, State& state) const {
    state.mean = cuda::stat<A>(args_, row, 0);
    state.scale = cuda::stat<A>(args_, row, 1);
  }
  // Beyond the row dy is zero and adds nothing.
  SEEDNORM_DEVICE void accumulate(const Vec<T>& gamma, const State& state, const Vec<T>& x, const Vec<T>& g,
                                  const cuda::At&, A* sums) const {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const A h = g.at[e] * gamma.at[e];
      sums[0] += h;
      sums[1] = std::fma(h, x.at[e] - state.mean, sums[1]);
    }
  }
  template <int kRows>
  SEEDNORM_DEVICE void finish(RowGroup<A>& group, const cuda::RowsAtOnce&, A (&sums)[2 * kRows],
                              State (&state)[kRows]) const {
    group.sum(sums);
    const A dim = static_cast<A>(args_.dim);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      state[r].mean_h = sums[2 * r] / dim;
      state[r].pull = sums[2 * r + 1] / dim * state[r].scale * state[r].scale;
    }
  }
  SEEDNORM_DEVICE Vec<T> map(const Vec<T>& gamma, const State& state, const Vec<T>& x, const Vec<T>& g,
                             const cuda::At&, Vec<T>* total) const {
    Vec<T> dx;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const A centred = x.at[e] - state.mean;
      const A inner = g.at[e] * gamma.at[e] - state.mean_h;
      dx.at[e] = state.scale * std::fma(-centred, state.pull, inner);
      total[0].at[e] = std::fma(g.at[e], centred * state.scale, total[0].at[e]);
      total[1].at[e] += g.at[e];
    }
    return dx;
  }

 private:
  const KernelArgs& args_;
  const Columns<T> gamma_;
};

template <class T>
using GpuKernels = cuda::PolicyKernels<T, DeviceForward<T>, DeviceBackward<T>>;

}  // namespace seednorm::layer_norm
