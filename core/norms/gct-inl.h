// Gated channel transformation (Yang et al., arXiv 1909.11519), of a row instead of a picture's channels: the
// columns compete for a gate, and the row is not normalized.
//
//   y_i = x_i (1 + tanh v_i),   v_i = gamma_i e_i rho + beta_i,   e_i = alpha_i |x_i|
//   rho = 1 / sqrt(mean(e^2) + eps)
//
// Backward, with dv_i = dy_i x_i sech^2(v_i), S = sum_i dv_i gamma_i e_i and
// de_i = rho (dv_i gamma_i - e_i rho^2 S / D):
//   dx_i = dy_i (1 + tanh v_i) + de_i alpha_i sign(x_i)
//   dgamma_i = sum_rows dv_i e_i rho,   dbeta_i = sum_rows dv_i,   dalpha_i = sum_rows de_i |x_i|
#ifndef SEEDNORM_NORMS_GCT_ONCE_
#define SEEDNORM_NORMS_GCT_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::gct {

// With gamma = beta = 0, as in the paper, training starts from y = x.
inline NormInfo info() {
  return {
      .name = "gct",
      .all_params = {{
          {.param = Param::kGamma, .role = ParamRole::kGain, .state_name = "weight"},
          {.param = Param::kBeta, .role = ParamRole::kOffset, .state_name = "bias"},
          {.param = Param::kAlpha, .role = ParamRole::kSlope, .state_name = "alpha", .initial_value = 1},
      }},
      .num_stats = [](const Options&) -> int64_t { return 1; },
      .has_eps = true,
  };
}

}  // namespace seednorm::gct
#endif  // SEEDNORM_NORMS_GCT_ONCE_

#if defined(SEEDNORM_NORMS_GCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_GCT_INL_H_
#undef SEEDNORM_NORMS_GCT_INL_H_
#else
#define SEEDNORM_NORMS_GCT_INL_H_
#endif

#include "core/cpu/math-inl.h"
#include "core/cpu/run-inl.h"
#include "core/kernel/row_scale.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::gct::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

template <class T>
class Base : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = true;
  struct Cols {
    Unit<T> gamma, beta, alpha;
  };
  struct Params {
    const A *gamma, *beta, *alpha;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      return {load_unit_order<T>(gamma + c), load_unit_order<T>(beta + c), load_unit_order<T>(alpha + c)};
    }
  };
  struct Sums {
    V<T> total;  // forward: of e^2; backward: S
  };

  explicit Base(const KernelArgs& args)
      : args_(args),
        staged_(args.dim),
        params_{staged_.get(args.param(Param::kGamma), 0), staged_.get(args.param(Param::kBeta), 1),
                staged_.get(args.param(Param::kAlpha), 2)} {}

  HWY_INLINE Params params() const { return params_; }
  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>())}; }

 protected:
  // e rho, and v.
  struct Gate {
    V<T> normalized, inner;
  };
  template <class K>
  HWY_INLINE Gate gate(K k, const Cols& cols, const Unit<T>& x, V<T> rho) const {
    const auto normalized = hn::Mul(hn::Mul(cols.alpha.v[k], hn::Abs(x.v[k])), rho);
    return {normalized, hn::MulAdd(cols.gamma.v[k], normalized, cols.beta.v[k])};
  }

  const KernelArgs& args_;

 private:
  Staged<T, 3> staged_;
  const Params params_;
};

template <class T>
class Forward : public Base<T> {
 public:
  using Base<T>::Base;
  using typename Base<T>::A;
  using typename Base<T>::Cols;
  using typename Base<T>::Sums;
  static constexpr bool kCentred = false;
  struct State {
    V<T> rho;
  };

  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const At&, Sums& sums) const {
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto e = hn::Mul(cols.alpha.v[k], x.v[k]);
      sums.total = hn::MulAdd(e, e, sums.total);
    });
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    A squares[R];
    sum_rows<T, R>([&](int i) SEEDNORM_LAMBDA { return sums[i].total; }, squares);
    for (int i = 0; i < R; ++i) {
      const A rho = RmsScale::scale(squares[i], static_cast<A>(this->args_.dim),
                                    static_cast<A>(this->args_.options.eps));
      if (this->args_.stats_out != nullptr) static_cast<A*>(this->args_.stats_out)[row + i] = rho;
      states[i].rho = hn::Set(Tag<T>(), rho);
    }
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const At&) const {
    Unit<T> y;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      y.v[k] = hn::MulAdd(x.v[k], tanh(Tag<T>(), this->gate(k, cols, x, state.rho).inner), x.v[k]);
    });
    return y;
  }
};

template <class T>
class Backward : public Base<T> {
 public:
  using Base<T>::Base;
  using typename Base<T>::A;
  using typename Base<T>::Cols;
  using typename Base<T>::Sums;
  static constexpr int kSlots = 3;  // gamma, beta, alpha
  struct State {
    V<T> rho, pull;  // pull: rho S / D of the normalized e, so that de = rho (dv gamma - e rho pull)
  };

  // S rho.
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const Unit<T>& g, const At& at,
                             Sums& sums) const {
    const Tag<T> d;
    const auto rho = hn::Set(d, stat(at.row));
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto gate = this->gate(k, cols, x, rho);
      const auto dv = hn::Mul(hn::Mul(g.v[k], x.v[k]), sech_squared(d, gate.inner));
      sums.total = hn::MulAdd(dv, hn::Mul(cols.gamma.v[k], gate.normalized), sums.total);
    });
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    A totals[R];
    sum_rows<T, R>([&](int i) SEEDNORM_LAMBDA { return sums[i].total; }, totals);
    for (int i = 0; i < R; ++i) {
      states[i] = {hn::Set(Tag<T>(), stat(row + i)),
                   hn::Set(Tag<T>(), totals[i] / static_cast<A>(this->args_.dim))};
    }
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const Unit<T>& g, const At&,
                         Unit<T>* total) const {
    const Tag<T> d;
    Unit<T> dx;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto gate = this->gate(k, cols, x, state.rho);
      const auto dv = hn::Mul(hn::Mul(g.v[k], x.v[k]), sech_squared(d, gate.inner));
      const auto inner = hn::NegMulAdd(gate.normalized, state.pull, hn::Mul(dv, cols.gamma.v[k]));
      const auto de = hn::Mul(state.rho, inner);
      const auto direct = hn::MulAdd(g.v[k], tanh(d, gate.inner), g.v[k]);
      const auto sign = hn::CopySign(hn::Set(d, 1), x.v[k]);  // where x is 0, de is 0
      dx.v[k] = hn::MulAdd(de, hn::Mul(cols.alpha.v[k], sign), direct);
      total[0].v[k] = hn::MulAdd(dv, gate.normalized, total[0].v[k]);
      total[1].v[k] = hn::Add(dv, total[1].v[k]);
      total[2].v[k] = hn::MulAdd(de, hn::Abs(x.v[k]), total[2].v[k]);
    });
    return dx;
  }

 private:
  A stat(int64_t row) const { return static_cast<const A*>(this->args_.stats)[row]; }
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

}  // namespace seednorm::gct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_GCT_INL_H_
