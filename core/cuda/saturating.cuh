// Policies of the norms that replace normalization by a saturating function of each element, DyT, Derf and
// DyISRU: y_i = gamma_i f(alpha x_i + s) + beta_i. There are no sums over the row.
#ifndef SEEDNORM_CORE_CUDA_SATURATING_CUH_
#define SEEDNORM_CORE_CUDA_SATURATING_CUH_

#include "core/cuda/math.cuh"
#include "core/cuda/policy_kernels.cuh"

namespace seednorm::cuda {

// F::value(v) and F::slope(v) are f and its derivative.
template <class T>
class SaturatingBase : public NoSharedMemory {
 public:
  using A = Acc<T>;
  static constexpr int kSums = 0;
  struct State {};
  struct Cols {
    Vec<T> gamma, beta;
  };

  SEEDNORM_DEVICE SaturatingBase(const KernelArgs& args, const RowGroup<A>&, void*, int)
      : gamma_(args.param(Param::kGamma)),
        beta_(args.param(Param::kBeta)),
        alpha_(Columns<T>(args.param(Param::kAlpha)).value()),
        shift_(Columns<T>(args.param(Param::kShift)).value()) {}

 protected:
  SEEDNORM_DEVICE A inner(A x) const { return std::fma(alpha_, x, shift_); }

  const Columns<T> gamma_, beta_;
  const A alpha_, shift_;
};

template <class T, class F>
class SaturatingForward : public SaturatingBase<T> {
 public:
  using Base = SaturatingBase<T>;
  using Base::Base;
  using typename Base::Cols;
  using typename Base::State;
  static constexpr bool kCentred = false;

  SEEDNORM_DEVICE Cols cols(int c, int n) const { return {this->gamma_.load(c, n), this->beta_.load(c, n)}; }
  SEEDNORM_DEVICE Vec<T> map(const Cols& cols, const State&, const Vec<T>& x, const At&) const {
    Vec<T> y;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      y.at[e] = std::fma(cols.gamma.at[e], F::value(this->inner(x.at[e])), cols.beta.at[e]);
    }
    return y;
  }
};

// With q_i = dy_i gamma_i f'(alpha x_i + s):
//   dx_i   = alpha q_i,   dgamma_i = sum_rows dy_i f(alpha x_i + s),   dbeta_i = sum_rows dy_i
//   dalpha = sum_rows sum_i q_i x_i,   ds = sum_rows sum_i q_i
// The sums over i are computed at the end of the chunk.
template <class T, class F, bool kShift>
class SaturatingBackward : public SaturatingBase<T> {
 public:
  using Base = SaturatingBase<T>;
  using Base::Base;
  using typename Base::State;
  static constexpr int kSlots = kShift ? 4 : 3, kSampleSlots = 0;  // gamma, beta, alpha, shift

  SEEDNORM_DEVICE Vec<T> cols(int c, int n) const { return this->gamma_.load(c, n); }
  SEEDNORM_DEVICE void begin(int64_t, State&) const {}
  SEEDNORM_DEVICE Vec<T> map(const Vec<T>& gamma, const State&, const Vec<T>& x, const Vec<T>& g, const At&,
                             Vec<T>* total) const {
    Vec<T> dx;
#pragma unroll
    for (int e = 0; e < kCols<T>; ++e) {
      const auto v = this->inner(x.at[e]);
      const auto q = g.at[e] * gamma.at[e] * F::slope(v);
      dx.at[e] = q * this->alpha_;
      total[0].at[e] = std::fma(g.at[e], F::value(v), total[0].at[e]);
      total[1].at[e] += g.at[e];
      total[2].at[e] = std::fma(q, x.at[e], total[2].at[e]);
      if constexpr (kShift) total[3].at[e] += q;
    }
    return dx;
  }
};

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_SATURATING_CUH_
