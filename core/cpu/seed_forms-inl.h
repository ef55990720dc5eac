// Policies of SeeDNorm's forms without a dot product (Table 3): beta elementwise, and no beta. They serve
// ablations and are simple rather than fast: form and sigma are looked up for every unit, a row at a time.
#if defined(SEEDNORM_CORE_CPU_SEED_FORMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_SEED_FORMS_INL_H_
#undef SEEDNORM_CORE_CPU_SEED_FORMS_INL_H_
#else
#define SEEDNORM_CORE_CPU_SEED_FORMS_INL_H_
#endif

#include "core/cpu/seed-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// The values that both directions read at a unit, and the elementwise activation.
template <class T>
class SeedForm : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = true;
  static constexpr bool kOneRow = true;
  struct Cols {
    Unit<T> gamma, alpha, beta;
  };
  struct Params {
    const A *gamma, *alpha, *beta;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      return {load_unit_order<T>(gamma + c), load_unit_order<T>(alpha + c), load_unit_order<T>(beta + c)};
    }
  };

  explicit SeedForm(const KernelArgs& args)
      : args_(args),
        elementwise_(args.options.beta == Form::kElementwise),
        staged_(args.dim),
        gamma_(staged_.get(args.param(Param::kGamma), 0)),
        alpha_(staged_.get(args.param(Param::kAlpha), 1)),
        beta_(staged_.get(args.param(Param::kBeta), 2)),
        keep_map_(args),
        keep_sum_(args) {}

  HWY_INLINE Params params() const { return {gamma_, alpha_, beta_}; }

 protected:
  // Argument of sigma at column i: dot_scale x_i, times beta_i if there is one.
  HWY_INLINE V<T> inner(const Cols& cols, const Unit<T>& x, int k) const {
    const auto scaled = hn::Mul(x.v[k], hn::Set(Tag<T>(), static_cast<A>(args_.options.dot_scale)));
    return elementwise_ ? hn::Mul(scaled, cols.beta.v[k]) : scaled;
  }
  HWY_NOINLINE V<T> value(V<T> z) const { return sigma_value(args_.options.sigma, Tag<T>(), z); }
  HWY_NOINLINE V<T> slope(V<T> z) const { return sigma_slope(args_.options.sigma, Tag<T>(), z); }
  HWY_INLINE Unit<T> keep(DropoutRows<T, 1>& dropout, const At& at) {
    return args_.dropout ? dropout.unit(at.row, 0, at.c) : set_unit<T>(1);
  }

  const KernelArgs& args_;
  const bool elementwise_;
  Staged<T, 3> staged_;
  const A* const gamma_;
  const A* const alpha_;
  const A* const beta_;
  DropoutRows<T, 1> keep_map_, keep_sum_;
};

template <class T>
class SeedFormForward : public SeedForm<T> {
 public:
  using Base = SeedForm<T>;
  using typename Base::A;
  using typename Base::Cols;
  using typename Base::Params;
  static constexpr bool kCentred = false;
  struct Sums {
    V<T> squares, dot;
  };
  struct State {
    V<T> scale, u;
  };
  using Base::Base;

  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>()), hn::Zero(Tag<T>())}; }
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const At& at, Sums& sums) const {
    Unit<T> weighted;  // sigma(0), beyond the row, may not be zero
    for (int k = 0; k < kVecs<T>; ++k) {
      sums.squares = hn::MulAdd(x.v[k], x.v[k], sums.squares);
      weighted.v[k] = hn::Mul(this->value(this->inner(cols, x, k)), cols.alpha.v[k]);
    }
    if (this->elementwise_) return;
    if (at.n < unit_cols<T>()) weighted = keep_first<T>(weighted, at.n);
    for (int k = 0; k < kVecs<T>; ++k) sums.dot = hn::Add(sums.dot, weighted.v[k]);
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    const auto& args = this->args_;
    const A scale = RmsScale::scale(sum_lanes(Tag<T>(), sums[0].squares), static_cast<A>(args.dim),
                                    static_cast<A>(args.options.eps));
    const A u = sum_lanes(Tag<T>(), sums[0].dot);
    states[0] = {hn::Set(Tag<T>(), scale), hn::Set(Tag<T>(), u)};
    if (args.stats_out == nullptr) return;
    A* stats = static_cast<A*>(args.stats_out) + row * args.num_stats;
    stats[0] = scale;
    if (!this->elementwise_) stats[1] = u;
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const At& at) {
    const Unit<T> keep = this->keep(this->keep_map_, at);
    Unit<T> y;
    for (int k = 0; k < kVecs<T>; ++k) {
      const auto dynamic =
          this->elementwise_ ? hn::Mul(this->value(this->inner(cols, x, k)), cols.alpha.v[k]) : state.u;
      const auto gain = hn::MulAdd(dynamic, keep.v[k], cols.gamma.v[k]);
      y.v[k] = hn::Mul(gain, hn::Mul(x.v[k], state.scale));
    }
    return y;
  }
};

// With s = rstd, w_i = m_i u_i + gamma_i and B = sum_i g_i w_i x_i, all sums over rows left out:
//   beta elementwise, with v_i = dot_scale x_i beta_i and u_i = sigma(v_i) alpha_i:
//     p_i  = s g_i x_i m_i alpha_i sigma'(v_i) dot_scale
//     dx_i = s g_i w_i - x_i s^3 B / D + p_i beta_i
//     dalpha_i = s g_i x_i m_i sigma(v_i),   dbeta_i = p_i x_i
//   beta none, with u the row's and K = s sum_i g_i m_i x_i:
//     dx_i = s g_i w_i - x_i s^3 B / D + K alpha_i sigma'(dot_scale x_i) dot_scale
//     dalpha_i = K sigma(dot_scale x_i)
//   both:
//     dgamma_i = s g_i x_i
template <class T>
class SeedFormBackward : public SeedForm<T> {
 public:
  using Base = SeedForm<T>;
  using typename Base::A;
  using typename Base::Cols;
  using typename Base::Params;
  static constexpr int kSlots = 3;
  struct Sums {
    V<T> dot, kept;  // sums of g w x (no beta: of g gamma x), and of g m x
  };
  struct State {
    V<T> scale, pull, u, k;
  };
  using Base::Base;

  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>()), hn::Zero(Tag<T>())}; }
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const Unit<T>& g, const At& at, Sums& sums) {
    const Unit<T> keep = this->keep(this->keep_sum_, at);
    for (int k = 0; k < kVecs<T>; ++k) {
      const auto gx = hn::Mul(g.v[k], x.v[k]);
      auto gain = cols.gamma.v[k];
      if (this->elementwise_) {
        const auto dynamic = hn::Mul(this->value(this->inner(cols, x, k)), cols.alpha.v[k]);
        gain = hn::MulAdd(dynamic, keep.v[k], gain);
      }
      sums.dot = hn::MulAdd(gain, gx, sums.dot);
      sums.kept = hn::MulAdd(keep.v[k], gx, sums.kept);
    }
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    const auto& args = this->args_;
    const Tag<T> d;
    const A* stats = static_cast<const A*>(args.stats) + row * args.num_stats;
    const A scale = stats[0];
    const A u = this->elementwise_ ? A{0} : stats[1];
    const A kept = sum_lanes(Tag<T>(), sums[0].kept);
    const A sum = sum_lanes(Tag<T>(), sums[0].dot) + (this->elementwise_ ? A{0} : u * kept);
    const A pull = RmsScale::pull(scale, sum, static_cast<A>(args.dim), A{0});
    states[0] = {hn::Set(d, scale), hn::Set(d, pull), hn::Set(d, u), hn::Set(d, scale * kept)};
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const Unit<T>& g,
                         const At& at, Unit<T>* total) {
    const auto dot_scale = hn::Set(Tag<T>(), static_cast<A>(this->args_.options.dot_scale));
    const Unit<T> keep = this->keep(this->keep_map_, at);
    Unit<T> dx;
    for (int k = 0; k < kVecs<T>; ++k) {
      const auto z = this->inner(cols, x, k);
      const auto u = this->value(z);
      const auto du = hn::Mul(this->slope(z), dot_scale);
      const auto g_scaled = hn::Mul(g.v[k], state.scale);
      const auto gx = hn::Mul(g_scaled, x.v[k]);
      const auto dynamic = this->elementwise_ ? hn::Mul(u, cols.alpha.v[k]) : state.u;
      const auto gain = hn::MulAdd(dynamic, keep.v[k], cols.gamma.v[k]);
      const auto outer = this->elementwise_ ? hn::Mul(gx, keep.v[k]) : state.k;  // dy . dy/du before sigma
      const auto slope = hn::Mul(hn::Mul(outer, cols.alpha.v[k]), du);
      const auto direction = this->elementwise_ ? cols.beta.v[k] : hn::Set(Tag<T>(), A{1});
      dx.v[k] = hn::MulAdd(slope, direction, hn::NegMulAdd(x.v[k], state.pull, hn::Mul(gain, g_scaled)));
      total[0].v[k] = hn::Add(gx, total[0].v[k]);
      total[1].v[k] = hn::MulAdd(outer, u, total[1].v[k]);
      total[2].v[k] = hn::MulAdd(slope, x.v[k], total[2].v[k]);
    }
    return dx;
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_SEED_FORMS_INL_H_
