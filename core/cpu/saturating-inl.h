// Policies of the norms that replace normalization by a saturating function of each element, DyT, Derf and
// DyISRU: y_i = gamma_i f(alpha x_i + s) + beta_i. There are no sums over the row.
#if defined(SEEDNORM_CORE_CPU_SATURATING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_SATURATING_INL_H_
#undef SEEDNORM_CORE_CPU_SATURATING_INL_H_
#else
#define SEEDNORM_CORE_CPU_SATURATING_INL_H_
#endif

#include "core/cpu/math-inl.h"
#include "core/cpu/run-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// F::value(d, v) and F::slope(d, v) are f and its derivative.
template <class T>
class SaturatingBase : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = false;
  struct Cols {
    Unit<T> gamma, beta;
  };
  struct Params {
    const A *gamma, *beta;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      return {load_unit_order<T>(gamma + c), load_unit_order<T>(beta + c)};
    }
  };
  struct Sums {};
  struct State {};

  explicit SaturatingBase(const KernelArgs& args)
      : staged_(args.dim),
        gamma_(staged_.get(args.param(Param::kGamma), 0)),
        beta_(staged_.get(args.param(Param::kBeta), 1)),
        alpha_(scalar(args.param(Param::kAlpha))),
        shift_(scalar(args.param(Param::kShift))) {}

  HWY_INLINE Params params() const { return {gamma_, beta_}; }
  HWY_INLINE Sums begin_sums() const { return {}; }
  template <int R>
  HWY_INLINE void finish(const Sums*, int64_t, State*) const {}

 protected:
  HWY_INLINE V<T> inner(V<T> x) const {
    const Tag<T> d;
    return hn::MulAdd(hn::Set(d, alpha_), x, hn::Set(d, shift_));
  }

  Staged<T, 2> staged_;
  const A* const gamma_;
  const A* const beta_;
  const A alpha_, shift_;

 private:
  static A scalar(const ParamRef& ref) {
    return canonical(
        static_cast<A>(ref.data == nullptr ? ref.constant : load_scalar(ref.data, ref.dtype, 0)));
  }
};

template <class T, class F>
class SaturatingForward : public SaturatingBase<T> {
 public:
  using Base = SaturatingBase<T>;
  using Base::Base;
  using typename Base::Cols;
  using typename Base::State;
  static constexpr bool kCentred = false;

  HWY_INLINE Unit<T> map(const Cols& cols, const State&, const Unit<T>& x, const At&) const {
    Unit<T> y;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      y.v[k] = hn::MulAdd(cols.gamma.v[k], F::value(Tag<T>(), this->inner(x.v[k])), cols.beta.v[k]);
    });
    return y;
  }
};

// With q_i = dy_i gamma_i f'(alpha x_i + s):
//   dx_i   = alpha q_i,   dgamma_i = sum_rows dy_i f(alpha x_i + s),   dbeta_i = sum_rows dy_i
//   dalpha = sum_rows sum_i q_i x_i,   ds = sum_rows sum_i q_i
// The sums over i are taken when slots are finished.
template <class T, class F, bool kShift>
class SaturatingBackward : public SaturatingBase<T> {
 public:
  using Base = SaturatingBase<T>;
  using Base::Base;
  using typename Base::Cols;
  using typename Base::State;
  static constexpr int kSlots = kShift ? 4 : 3;  // gamma, beta, alpha, shift

  HWY_INLINE Unit<T> map(const Cols& cols, const State&, const Unit<T>& x, const Unit<T>& g, const At&,
                         Unit<T>* total) const {
    const Tag<T> d;
    Unit<T> dx;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto v = this->inner(x.v[k]);
      const auto q = hn::Mul(hn::Mul(g.v[k], cols.gamma.v[k]), F::slope(d, v));
      dx.v[k] = hn::Mul(q, hn::Set(d, this->alpha_));
      total[0].v[k] = hn::MulAdd(g.v[k], F::value(d, v), total[0].v[k]);
      total[1].v[k] = hn::Add(g.v[k], total[1].v[k]);
      total[2].v[k] = hn::MulAdd(q, x.v[k], total[2].v[k]);
      if constexpr (kShift) total[3].v[k] = hn::Add(q, total[3].v[k]);
    });
    return dx;
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_SATURATING_INL_H_
