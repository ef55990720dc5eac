// Gated channel transformation for GPUs; see gct-inl.h.
#include "core/cuda/math.cuh"
#include "core/cuda/policy_kernels.cuh"
#include "core/kernel/row_scale.h"

namespace seednorm::gct {

using cuda::Acc;
using cuda::Columns;
using cuda::kCols;
using cuda::RowGroup;
using cuda::Vec;

template <class T>
class DeviceBase : public cuda::NoSharedMemory {
 public:
  using A = Acc<T>;
  static constexpr int kSums = 1;  // forward: of e^2; backward: S rho
  struct Cols {
    Vec<T> gamma, beta, alpha;
  };

  SEEDNORM_DEVICE DeviceBase(const KernelArgs& args, const RowGroup<A>&, void*, int)
      : args_(args),
        gamma_(args.param(Param::kGamma)),
        beta_(args.param(Param::kBeta)),
        alpha_(args.param(Param::kAlpha)) {}

  SEEDNORM_DEVICE Cols cols(int c, int n) const {
    return {gamma_.load(c, n), beta_.load(c, n), alpha_.load(c, n)};
  }

 protected:
  // e rho, and v.
  struct Gate {
    A normalized, inner;
  };
  SEEDNORM_DEVICE static Gate gate(const Cols& cols, int e, A x, A rho) {
    const A normalized = cols.alpha.at[e] * std::abs(x) * rho;
    return {normalized, std::fma(cols.gamma.at[e], normalized, cols.beta.at[e])};
  }

  const KernelArgs& args_;
  const Columns<T> gamma_, beta_, alpha_;
};

template <class T>
class DeviceForward : public DeviceBase<T> {
 public:
  using DeviceBase<T>::DeviceBase;
  using typename DeviceBase<T>::A;
  using typename DeviceBase<T>::Cols;
  static constexpr bool kCentred = false;
  struct State {
    A rho;
  };

  SEEDNORM_DEVICE Vec<T> sum_cols(int c, int n) const { return this->alpha_.load(c, n); }
  SEEDNORM_DEVICE void accumulate(const Vec<T>& alpha, const Vec<T>& x, const cuda::At&, A* sums) const {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const A value = alpha.at[e] * x.at[e];
      sums[0] = std::fma(value, value, sums[0]);
    }
  }
  template <int kRows>
  SEEDNORM_DEVICE void finish(const cuda::Input<T>&, RowGroup<A>& group, const cuda::RowsAtOnce& rows,
                              A (&sums)[kRows], State (&state)[kRows]) const {
    group.sum(sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      state[r].rho =
          RmsScale::scale(sums[r], static_cast<A>(this->args_.dim), static_cast<A>(this->args_.options.eps));
      if (this->args_.stats_out != nullptr && group.lane == 0 && rows.has(r)) {
        cuda::set_stat(this->args_, rows.row(r), 0, state[r].rho);
      }
    }
  }
  SEEDNORM_DEVICE Vec<T> map(const Cols& cols, const State& state, const Vec<T>& x, const cuda::At&) const {
    Vec<T> y;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      y.at[e] = std::fma(x.at[e], std::tanh(this->gate(cols, e, x.at[e], state.rho).inner), x.at[e]);
    }
    return y;
  }
};

template <class T>
class DeviceBackward : public DeviceBase<T> {
 public:
  using DeviceBase<T>::DeviceBase;
  using typename DeviceBase<T>::A;
  using typename DeviceBase<T>::Cols;
  static constexpr int kSlots = 3, kSampleSlots = 0;  // gamma, beta, alpha
  struct State {
    A rho, pull;  // pull: S rho / D
  };

  SEEDNORM_DEVICE void begin(int64_t row, State& state) const {
    state.rho = cuda::stat<A>(this->args_, row, 0);
  }
  SEEDNORM_DEVICE void accumulate(const Cols& cols, const State& state, const Vec<T>& x, const Vec<T>& g,
                                  const cuda::At&, A* sums) const {
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const auto gate = this->gate(cols, e, x.at[e], state.rho);
      const A dv = g.at[e] * x.at[e] * cuda::sech_squared(gate.inner);
      sums[0] = std::fma(dv, cols.gamma.at[e] * gate.normalized, sums[0]);
    }
  }
  template <int kRows>
  SEEDNORM_DEVICE void finish(RowGroup<A>& group, const cuda::RowsAtOnce&, A (&sums)[kRows],
                              State (&state)[kRows]) const {
    group.sum(sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r) state[r].pull = sums[r] / static_cast<A>(this->args_.dim);
  }
  SEEDNORM_DEVICE Vec<T> map(const Cols& cols, const State& state, const Vec<T>& x, const Vec<T>& g,
                             const cuda::At&, Vec<T>* total) const {
    Vec<T> dx;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const auto gate = this->gate(cols, e, x.at[e], state.rho);
      const A dv = g.at[e] * x.at[e] * cuda::sech_squared(gate.inner);
      const A de = state.rho * std::fma(-gate.normalized, state.pull, dv * cols.gamma.at[e]);
      const A direct = std::fma(g.at[e], std::tanh(gate.inner), g.at[e]);
      const A sign = std::copysign(A{1}, x.at[e]);  // where x is 0, de is 0
      dx.at[e] = std::fma(de, cols.alpha.at[e] * sign, direct);
      total[0].at[e] = std::fma(dv, gate.normalized, total[0].at[e]);
      total[1].at[e] += dv;
      total[2].at[e] = std::fma(de, std::abs(x.at[e]), total[2].at[e]);
    }
    return dx;
  }
};

template <class T>
using GpuKernels = cuda::PolicyKernels<T, DeviceForward<T>, DeviceBackward<T>>;

}  // namespace seednorm::gct
