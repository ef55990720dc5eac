// Learnable adaptive normalization: LayerNorm with learned numbers in place of a row's statistics.
//
//   y_i = gamma_i n_i + beta_i,   n_i = (x_i - m_i) r_i,   r_i = 1 / sqrt(max(v_i, 0) + eps)
//
// m is the parameter shift and v the parameter alpha.
// Backward:
//   dx_i = dy_i gamma_i r_i,   dgamma_i = sum_rows dy_i n_i,   dbeta_i = sum_rows dy_i
//   dv_i = -1/2 gamma_i r_i^2 sum_rows dy_i n_i where v_i > 0, otherwise 0
//   dm_i = -gamma_i r_i sum_rows dy_i
#ifndef SEEDNORM_NORMS_LAN_ONCE_
#define SEEDNORM_NORMS_LAN_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::lan {

inline NormInfo info() {
  return {
      .name = "lan",
      .all_params = {{
          {.param = Param::kGamma, .role = ParamRole::kGain, .state_name = "weight", .initial_value = 1},
          {.param = Param::kBeta, .role = ParamRole::kOffset, .state_name = "bias"},
          {.param = Param::kAlpha, .role = ParamRole::kSlope, .state_name = "variance", .initial_value = 1},
          {.param = Param::kShift, .role = ParamRole::kOffset, .state_name = "mean"},
      }},
      .num_stats = [](const Options&) -> int64_t { return 0; },
      .has_eps = true,
  };
}

}  // namespace seednorm::lan
#endif  // SEEDNORM_NORMS_LAN_ONCE_

#if defined(SEEDNORM_NORMS_LAN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_LAN_INL_H_
#undef SEEDNORM_NORMS_LAN_INL_H_
#else
#define SEEDNORM_NORMS_LAN_INL_H_
#endif

#include "core/cpu/run-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::lan::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

// There are no sums over the row.
template <class T>
class Base : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = false;
  struct Cols {
    Unit<T> gamma, beta, mean, variance, rstd;
  };
  struct Params {
    const A *gamma, *beta, *variance, *mean;
    A eps;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      const Tag<T> d;
      Cols out = {load_unit_order<T>(gamma + c), load_unit_order<T>(beta + c), load_unit_order<T>(mean + c),
                  load_unit_order<T>(variance + c), zero_unit<T>()};
      for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
        const auto v = out.variance.v[k];
        const auto positive = hn::IfThenElse(hn::Lt(v, hn::Zero(d)), hn::Zero(d), v);  // keeps NaN
        out.rstd.v[k] = hn::Div(hn::Set(d, 1), hn::Sqrt(hn::Add(positive, hn::Set(d, eps))));
      });
      return out;
    }
  };
  struct Sums {};
  struct State {};

  explicit Base(const KernelArgs& args)
      : staged_(args.dim),
        params_{staged_.get(args.param(Param::kGamma), 0), staged_.get(args.param(Param::kBeta), 1),
                staged_.get(args.param(Param::kAlpha), 2), staged_.get(args.param(Param::kShift), 3),
                static_cast<A>(args.options.eps)} {}

  HWY_INLINE Params params() const { return params_; }
  HWY_INLINE Sums begin_sums() const { return {}; }
  template <int R>
  HWY_INLINE void finish(const Sums*, int64_t, State*) const {}

 private:
  Staged<T, 4> staged_;
  const Params params_;
};

template <class T>
class Forward : public Base<T> {
 public:
  using Base<T>::Base;
  using typename Base<T>::Cols;
  using typename Base<T>::State;
  static constexpr bool kCentred = false;

  HWY_INLINE Unit<T> map(const Cols& cols, const State&, const Unit<T>& x, const At&) const {
    Unit<T> y;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto n = hn::Mul(hn::Sub(x.v[k], cols.mean.v[k]), cols.rstd.v[k]);
      y.v[k] = hn::MulAdd(cols.gamma.v[k], n, cols.beta.v[k]);
    });
    return y;
  }
};

template <class T>
class Backward : public Base<T> {
 public:
  using Base<T>::Base;
  using typename Base<T>::Cols;
  using typename Base<T>::State;
  static constexpr int kSlots = 4;  // gamma, beta, v, m

  HWY_INLINE Unit<T> map(const Cols& cols, const State&, const Unit<T>& x, const Unit<T>& g, const At&,
                         Unit<T>* total) const {
    const Tag<T> d;
    Unit<T> dx;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto r = cols.rstd.v[k];
      const auto gn = hn::Mul(g.v[k], hn::Mul(hn::Sub(x.v[k], cols.mean.v[k]), r));
      dx.v[k] = hn::Mul(hn::Mul(g.v[k], cols.gamma.v[k]), r);
      total[0].v[k] = hn::Add(gn, total[0].v[k]);
      total[1].v[k] = hn::Add(g.v[k], total[1].v[k]);
      const auto half =
          hn::Mul(hn::Set(d, static_cast<Acc<T>>(0.5)), hn::Mul(cols.gamma.v[k], hn::Mul(r, r)));
      const auto pull = hn::IfThenElseZero(hn::Gt(cols.variance.v[k], hn::Zero(d)), half);
      total[2].v[k] = hn::NegMulAdd(gn, pull, total[2].v[k]);
      total[3].v[k] = hn::Sub(total[3].v[k], dx.v[k]);
    });
    return dx;
  }
};

template <class T>
void forward_typed(const KernelArgs& args, int64_t begin, int64_t end) {
  Forward<T> policy(args);
  run_forward<T, false>(args, policy, begin, end);
}
template <class T>
void backward_typed(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  Backward<T> policy(args);
  run_backward<T>(args, policy, begin, end, chunk);
}

}  // namespace seednorm::lan::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_LAN_INL_H_
