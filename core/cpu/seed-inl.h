// Policies of SeeDNorm with the dot product (Eq. 4, Eq. 7) and of AdaSeeDNorm (Eq. 8).
//
//   z_h = dot_scale sum_{i in h} x_i beta_i,  u_h = sigma(z_h),  y_i = (m_i u_h alpha_i + gamma_i) (x_i rstd)
// m is the dropout multiplier, 1 without dropout. With beta = 0 the coefficient is exactly gamma and the
// order of the two products is RMSNorm's, so that y is RMSNorm's bit for bit; the sum of squares runs over
// the columns in RMSNorm's order whatever the heads.
//
// Heads of whole units are segments of the sweep. Others ("expanded") store x beta for the row, sum it by
// head, and spread u back over the columns. kGeneral allows dropout and expanded heads, found at run time.
#if defined(SEEDNORM_CORE_CPU_SEED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_SEED_INL_H_
#undef SEEDNORM_CORE_CPU_SEED_INL_H_
#else
#define SEEDNORM_CORE_CPU_SEED_INL_H_
#endif

#include <algorithm>
#include <cmath>

#include "core/cpu/dropout-inl.h"
#include "core/cpu/gain-inl.h"
#include "core/cpu/heads-inl.h"
#include "core/cpu/math-inl.h"
#include "core/cpu/run-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// One sample's gamma(c) and eta(c), staged; empty for a norm without them.
template <class T, bool kConditional>
class Condition {
 public:
  explicit Condition(const KernelArgs&) {}
  const Acc<T>* gamma_c = nullptr;
  const Acc<T>* eta_c = nullptr;
};
template <class T>
class Condition<T, true> {
 public:
  using A = Acc<T>;
  explicit Condition(const KernelArgs& args) : args_(args), staged_(args.dim) {}
  void set_sample(int64_t sample) {
    gamma_c = stage(Param::kGammaC, sample, 0, 1.0);
    eta_c = stage(Param::kEtaC, sample, 1, 0.0);
  }
  const A* gamma_c = nullptr;  // 1 + gamma(c)
  const A* eta_c = nullptr;

 private:
  const A* stage(Param param, int64_t sample, int slot, double offset) {
    ParamRef ref = args_.param(param);
    ref.data =
        static_cast<const char*>(ref.data) + sample * ref.stride * static_cast<int64_t>(size_of(ref.dtype));
    ref.offset = offset;
    return staged_.get(ref, slot);
  }
  const KernelArgs& args_;
  Staged<T, 2> staged_;
};

template <class T, bool kGeneral, bool kConditional>
class SeedForward {
 public:
  using A = Acc<T>;
  static constexpr int kRows = kBlockRows<T>;
  static constexpr bool kReduces = true;
  static constexpr bool kCentred = false;
  struct Cols {
    Unit<T> gamma, alpha, beta, gamma_c, eta_c;
  };
  struct Params {
    const A *gamma, *alpha, *beta, *gamma_c, *eta_c;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      Cols out{};
      if constexpr (kMap) {
        out.gamma = load_unit_order<T>(gamma + c);
        out.alpha = load_unit_order<T>(alpha + c);
        if constexpr (kConditional) {
          out.gamma_c = load_unit_order<T>(gamma_c + c);
          out.eta_c = load_unit_order<T>(eta_c + c);
        }
      }
      if constexpr (kReduce) out.beta = load_unit_order<T>(beta + c);
      return out;
    }
  };
  struct Sums {
    V<T> squares, dot;
  };
  struct State {
    V<T> scale, u;
  };

  explicit SeedForward(const KernelArgs& args)
      : args_(args),
        staged_(args.dim),
        gamma_(staged_.get(args.param(Param::kGamma), 0)),
        alpha_(staged_.get(args.param(Param::kAlpha), 1)),
        beta_(staged_.get(args.param(Param::kBeta), 2)),
        heads_(args),
        expanded_(!Heads<T>::whole_units(args)),
        keep_(args),
        z_(heads_.values()),
        u_(heads_.values()),
        wide_(expanded() ? 2 * kRows * unit_padded(args.dim) : 0),
        condition(args) {
    heads_.clear(z_);
  }

  void begin_rows(int rows) { heads_.begin_rows(rows); }
  size_t num_segments() const { return expanded() ? 1 : heads_.count; }
  size_t segment_cols() const { return heads_.cols; }

  HWY_INLINE Params params() const { return {gamma_, alpha_, beta_, condition.gamma_c, condition.eta_c}; }

  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>()), hn::Zero(Tag<T>())}; }
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const At& at, Sums& sums) {
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { sums.squares = hn::MulAdd(x.v[k], x.v[k], sums.squares); });
    if (expanded()) {
      Unit<T> product;
      for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { product.v[k] = hn::Mul(x.v[k], cols.beta.v[k]); });
      store_unit_order(product, wide(at.in_block, kProducts) + at.c);
    } else {
      for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { sums.dot = hn::MulAdd(x.v[k], cols.beta.v[k], sums.dot); });
    }
  }
  template <int R>
  HWY_INLINE void end_segment(size_t h, int first, Sums* sums) {
    if (expanded()) return;
    A dots[R];
    sum_rows<T, R>([&](auto i) SEEDNORM_LAMBDA { return sums[i].dot; }, dots);
    for (int i = 0; i < R; ++i) dots[i] *= dot_scale();
    heads_.template keep<R>(dots, h, first, z_.data());
    for (int i = 0; i < R; ++i) sums[i].dot = hn::Zero(Tag<T>());
  }

  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) {
    if (expanded()) {
      for (int i = 0; i < R; ++i) heads_.sum(wide(i, kProducts), i, z_.data());
      for (size_t j = 0; j < heads_.size(); ++j) z_[j] *= dot_scale();
    }
    sigma_array<false>(args_.options.sigma, z_.data(), heads_.size(), u_.data());
    A squares[R];
    sum_rows<T, R>([&](int i) SEEDNORM_LAMBDA { return sums[i].squares; }, squares);
    for (int i = 0; i < R; ++i) {
      const A scale =
          RmsScale::scale(squares[i], static_cast<A>(args_.dim), static_cast<A>(args_.options.eps));
      states[i].scale = hn::Set(Tag<T>(), scale);
      if (args_.stats_out != nullptr) {
        A* stats = static_cast<A*>(args_.stats_out) + (row + i) * args_.num_stats;
        stats[0] = scale;
        for (size_t h = 0; h < heads_.count; ++h) stats[1 + h] = z_[heads_.at(h, i)];
      }
      if (expanded()) heads_.spread(u_.data(), i, wide(i, kU));
    }
  }
  HWY_INLINE void begin_segment(size_t h, int i, State& state) const {
    state.u = hn::Set(Tag<T>(), u_[heads_.at(h, i)]);
  }

  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const At& at) {
    Unit<T> alpha = cols.alpha;
    if (dropout()) {
      const Unit<T> keep = keep_.unit(at.row, at.in_block, at.c);
      for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { alpha.v[k] = hn::Mul(alpha.v[k], keep.v[k]); });
    }
    Unit<T> u = zero_unit<T>();
    if (expanded()) u = load_unit_order<T>(wide(at.in_block, kU) + at.c);
    Unit<T> y;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto gain = hn::MulAdd(expanded() ? u.v[k] : state.u, alpha.v[k], cols.gamma.v[k]);
      y.v[k] = hn::Mul(gain, hn::Mul(x.v[k], state.scale));
      if constexpr (kConditional) y.v[k] = hn::MulAdd(y.v[k], cols.gamma_c.v[k], cols.eta_c.v[k]);
    });
    return y;
  }

 private:
  bool expanded() const { return kGeneral && expanded_; }
  bool dropout() const { return kGeneral && args_.dropout; }
  A dot_scale() const { return static_cast<A>(args_.options.dot_scale); }

  // For expanded heads only: two arrays for each row of the block, x beta while it is summed and u while it
  // is mapped.
  enum Wide { kProducts, kU };
  A* wide(int i, Wide which) { return wide_.data() + (2 * i + which) * unit_padded(args_.dim); }

  const KernelArgs& args_;
  Staged<T, 3> staged_;
  const A* const gamma_;
  const A* const alpha_;
  const A* const beta_;
  Heads<T> heads_;
  const bool expanded_;
  DropoutRows<T, kRows> keep_;
  typename Heads<T>::Values z_, u_;
  Buffer<A, 1> wide_;

 public:
  Condition<T, kConditional> condition;
};

// Backward (Eq. 6, multi-head: Appendix C). With s = rstd, w = m u alpha + gamma, and g = dy, in AdaSeeDNorm
// dy (1 + gamma(c)):
//   A_h = s sum_{i in h} g_i m_i alpha_i x_i,   B = sum_i g_i gamma_i x_i + sum_h u_h A_h / s
//   dx_i = w_i (g_i s) - x_i s^3 B / D + c_h beta_i,   c_h = dot_scale sigma'(z_h) A_h
//   dgamma = sum_rows (g s) x,   dalpha = sum_rows u m (g s) x,   dbeta = sum_rows c x
//   dgamma(c) = sum_rows dy w (s x),   deta(c) = sum_rows dy
template <class T, bool kGeneral, bool kConditional>
class SeedBackward {
 public:
  using A = Acc<T>;
  static constexpr int kRows = kBlockRows<T>;
  static constexpr bool kReduces = true;
  // gamma, alpha, beta; or alpha, beta, gamma(c), eta(c).
  static constexpr int kSlots = kConditional ? 4 : 3;
  static constexpr int kAlphaSlot = kConditional ? 0 : 1;
  struct Cols {
    Unit<T> gamma, alpha, beta, gamma_c;
  };
  struct Params {
    const A *gamma, *alpha, *beta, *gamma_c;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      Cols out{};
      out.gamma = load_unit_order<T>(gamma + c);
      out.alpha = load_unit_order<T>(alpha + c);
      if constexpr (kMap) out.beta = load_unit_order<T>(beta + c);
      if constexpr (kConditional) out.gamma_c = load_unit_order<T>(gamma_c + c);
      return out;
    }
  };
  struct Sums {
    V<T> dot_gamma, dot_alpha;
  };
  struct State {
    V<T> scale, pull, u, c;
  };

  explicit SeedBackward(const KernelArgs& args)
      : args_(args),
        staged_(args.dim),
        gamma_(staged_.get(args.param(Param::kGamma), 0)),
        alpha_(staged_.get(args.param(Param::kAlpha), 1)),
        beta_(staged_.get(args.param(Param::kBeta), 2)),
        heads_(args),
        expanded_(!Heads<T>::whole_units(args)),
        keep_map_(args),
        keep_sum_(args),
        a_(heads_.values()),
        z_(heads_.values()),
        u_(heads_.values()),
        c_(heads_.values()),
        wide_(expanded() ? 3 * kRows * unit_padded(args.dim) : 0),
        condition(args) {
    heads_.clear(z_);
  }

  void begin_rows(int rows) { heads_.begin_rows(rows); }
  size_t num_segments() const { return expanded() ? 1 : heads_.count; }
  size_t segment_cols() const { return heads_.cols; }

  HWY_INLINE Params params() const { return {gamma_, alpha_, beta_, condition.gamma_c}; }

  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>()), hn::Zero(Tag<T>())}; }
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const Unit<T>& dy, const At& at,
                             Sums& sums) {
    const Unit<T> alpha = kept_alpha(cols, keep_sum_, at);
    Unit<T> product;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto gx = hn::Mul(upstream(cols, dy, k), x.v[k]);
      sums.dot_gamma = hn::MulAdd(cols.gamma.v[k], gx, sums.dot_gamma);
      if (expanded()) {
        product.v[k] = hn::Mul(alpha.v[k], gx);
      } else {
        sums.dot_alpha = hn::MulAdd(alpha.v[k], gx, sums.dot_alpha);
      }
    });
    if (expanded()) store_unit_order(product, wide(at.in_block, kProducts) + at.c);
  }
  template <int R>
  HWY_INLINE void end_segment(size_t h, int first, Sums* sums) {
    if (expanded()) return;
    A dots[R];
    sum_rows<T, R>([&](auto i) SEEDNORM_LAMBDA { return sums[i].dot_alpha; }, dots);
    heads_.template keep<R>(dots, h, first, a_.data());
    for (int i = 0; i < R; ++i) sums[i].dot_alpha = hn::Zero(Tag<T>());
  }

  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) {
    const size_t count = heads_.count;
    const A* stats = static_cast<const A*>(args_.stats) + row * args_.num_stats;
    if (expanded()) {
      for (int i = 0; i < R; ++i) heads_.sum(wide(i, kProducts), i, a_.data());
    }
    for (size_t h = 0; h < count; ++h) {
      A z[R];
      for (int i = 0; i < R; ++i) z[i] = stats[i * args_.num_stats + 1 + h];
      heads_.template keep<R>(z, h, 0, z_.data());
    }
    sigma_array<false>(args_.options.sigma, z_.data(), heads_.size(), u_.data());
    sigma_array<true>(args_.options.sigma, z_.data(), heads_.size(), c_.data());
    A dots[R];
    sum_rows<T, R>([&](int i) SEEDNORM_LAMBDA { return sums[i].dot_gamma; }, dots);
    for (int i = 0; i < R; ++i) {
      const A scale = stats[i * args_.num_stats];
      A sum = dots[i];
      for (size_t h = 0; h < count; ++h) {
        const A a = a_[heads_.at(h, i)];
        sum += u_[heads_.at(h, i)] * a;
        c_[heads_.at(h, i)] *= dot_scale() * (scale * a);
      }
      states[i].scale = hn::Set(Tag<T>(), scale);
      states[i].pull = hn::Set(Tag<T>(), RmsScale::pull(scale, sum, static_cast<A>(args_.dim), A{0}));
      if (expanded()) {
        heads_.spread(u_.data(), i, wide(i, kU));
        heads_.spread(c_.data(), i, wide(i, kC));
      }
    }
  }
  HWY_INLINE void begin_segment(size_t h, int i, State& state) const {
    state.u = hn::Set(Tag<T>(), u_[heads_.at(h, i)]);
    state.c = hn::Set(Tag<T>(), c_[heads_.at(h, i)]);
  }

  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const Unit<T>& dy,
                         const At& at, Unit<T>* total) {
    Unit<T> keep = zero_unit<T>();
    if (dropout()) keep = keep_map_.unit(at.row, at.in_block, at.c);
    Unit<T> wide_u = zero_unit<T>(), wide_c = zero_unit<T>();
    if (expanded()) {
      wide_u = load_unit_order<T>(wide(at.in_block, kU) + at.c);
      wide_c = load_unit_order<T>(wide(at.in_block, kC) + at.c);
    }
    Unit<T> dx;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      auto u = expanded() ? wide_u.v[k] : state.u;
      if (dropout()) u = hn::Mul(u, keep.v[k]);
      const auto slope = expanded() ? wide_c.v[k] : state.c;
      const auto gain = hn::MulAdd(u, cols.alpha.v[k], cols.gamma.v[k]);
      const auto g_scaled = hn::Mul(upstream(cols, dy, k), state.scale);
      dx.v[k] = hn::MulAdd(slope, cols.beta.v[k], hn::NegMulAdd(x.v[k], state.pull, hn::Mul(gain, g_scaled)));
      auto& dalpha = total[kAlphaSlot].v[k];
      auto& dbeta = total[kAlphaSlot + 1].v[k];
      dalpha = hn::MulAdd(hn::Mul(u, g_scaled), x.v[k], dalpha);
      dbeta = hn::MulAdd(slope, x.v[k], dbeta);
      if constexpr (kConditional) {
        total[2].v[k] = hn::MulAdd(hn::Mul(gain, dy.v[k]), hn::Mul(x.v[k], state.scale), total[2].v[k]);
        total[3].v[k] = hn::Add(dy.v[k], total[3].v[k]);
      } else {
        total[0].v[k] = hn::MulAdd(g_scaled, x.v[k], total[0].v[k]);
      }
    });
    return dx;
  }

 private:
  HWY_INLINE V<T> upstream(const Cols& cols, const Unit<T>& dy, int k) const {
    if constexpr (kConditional) return hn::Mul(dy.v[k], cols.gamma_c.v[k]);
    return dy.v[k];
  }
  HWY_INLINE Unit<T> kept_alpha(const Cols& cols, DropoutRows<T, kRows>& source, const At& at) {
    Unit<T> alpha = cols.alpha;
    if (dropout()) {
      const Unit<T> keep = source.unit(at.row, at.in_block, at.c);
      for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { alpha.v[k] = hn::Mul(alpha.v[k], keep.v[k]); });
    }
    return alpha;
  }
  bool expanded() const { return kGeneral && expanded_; }
  bool dropout() const { return kGeneral && args_.dropout; }
  A dot_scale() const { return static_cast<A>(args_.options.dot_scale); }

  // See SeedForward::wide.
  enum Wide { kProducts, kU, kC };
  A* wide(int i, Wide which) { return wide_.data() + (3 * i + which) * unit_padded(args_.dim); }

  const KernelArgs& args_;
  Staged<T, 3> staged_;
  const A* const gamma_;
  const A* const alpha_;
  const A* const beta_;
  Heads<T> heads_;
  const bool expanded_;
  DropoutRows<T, kRows> keep_map_, keep_sum_;  // of the two blocks that are under way at once
  typename Heads<T>::Values a_, z_, u_, c_;
  Buffer<A, 1> wide_;

 public:
  Condition<T, kConditional> condition;
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_SEED_INL_H_
