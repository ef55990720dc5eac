// Policies of SeeDNorm with the dot product (Eq. 4, Eq. 7) and of AdaSeeDNorm (Eq. 8).
//
//   z_h = dot_scale sum_{i in h} x_i beta_i,  u_h = sigma(z_h),  y_i = (m_i u_h alpha_i + gamma_i) (x_i rstd)
// m is the dropout multiplier, 1 without dropout. With beta = 0 the coefficient is exactly gamma and the
// order of the two products is RMSNorm's, so that y is RMSNorm's bit for bit; the sum of squares runs over
// the columns in RMSNorm's order whatever the heads.
//
// Heads of whole units are segments of the sweep. Others ("expanded") store x beta for the block of rows, sum
// it by head, and permute u to the columns.
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
#include "core/cpu/split_heads-inl.h"

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

// What the loops allow for. kGeneral has any heads and perhaps dropout, found at run time.
enum class Loops { kWholeHeads, kSplitHeads, kGeneral };

// Calls run with the Loops for the arguments, as a type. Types that are rare on CPUs have fewer instances,
// which take long to compile; units of one lane never straddle two heads.
template <class T, class Run>
HWY_INLINE void with_loops(const KernelArgs& args, const Run& run) {
  constexpr bool kRare = std::is_same_v<T, double> || std::is_same_v<T, Float16>;
  if (!args.dropout) {
    if constexpr (!std::is_same_v<T, double>) {
      if (Heads<T>::whole_units(args)) return run(std::integral_constant<Loops, Loops::kWholeHeads>());
    }
    if constexpr (!kRare && HWY_TARGET != HWY_SCALAR) {
      if (!Heads<T>::whole_units(args)) return run(std::integral_constant<Loops, Loops::kSplitHeads>());
    }
  }
  run(std::integral_constant<Loops, Loops::kGeneral>());
}

// Whether heads are expanded, a constant where the loops allow.
template <Loops kLoops>
HWY_INLINE bool splits_heads(bool at_run_time) {
  return kLoops == Loops::kSplitHeads || (kLoops == Loops::kGeneral && at_run_time);
}

template <class T, Loops kLoops, bool kConditional>
class SeedForward {
 public:
  using A = Acc<T>;
  static constexpr int kRows = kBlockRows<T>;
  static constexpr bool kReduces = true;
  static constexpr bool kCentred = false;
  struct Cols {
    Unit<T> gamma, alpha, beta, gamma_c, eta_c;
    typename SplitHeads<T>::Columns heads;
    const A* u;
  };
  struct Params {
    const A *gamma, *alpha, *beta, *gamma_c, *eta_c;
    typename SplitHeads<T>::Table heads;
    const A* u;
    bool expanded;
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
      if (splits_heads<kLoops>(expanded)) {
        heads.template get<kMap>(c, out.heads);
        out.u = u;
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
        split_(heads_, expanded()),
        keep_(args),
        z_(heads_.values()),
        u_(heads_.values()),
        condition(args) {
    heads_.clear(z_);
  }

  void begin_rows(int rows) { heads_.begin_rows(rows); }
  size_t num_segments() const { return expanded() ? 1 : heads_.count; }
  size_t segment_cols() const { return heads_.cols; }

  HWY_INLINE Params params() {
    return {gamma_, alpha_, beta_, condition.gamma_c, condition.eta_c, split_.table(), u_.data(), expanded()};
  }

  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>()), hn::Zero(Tag<T>())}; }
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const At& at, Sums& sums) {
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { sums.squares = hn::MulAdd(x.v[k], x.v[k], sums.squares); });
    if (expanded()) {
      Unit<T> product;
      for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { product.v[k] = hn::Mul(x.v[k], cols.beta.v[k]); });
      cols.heads.keep(product, at.in_block);
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
    if (expanded()) split_.template sum<R>(dot_scale(), z_.data());
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
    if (expanded()) u = cols.heads.spread(cols.u, at.in_block);
    Unit<T> y;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto gain = hn::MulAdd(expanded() ? u.v[k] : state.u, alpha.v[k], cols.gamma.v[k]);
      y.v[k] = hn::Mul(gain, hn::Mul(x.v[k], state.scale));
      if constexpr (kConditional) y.v[k] = hn::MulAdd(y.v[k], cols.gamma_c.v[k], cols.eta_c.v[k]);
    });
    return y;
  }

 private:
  bool expanded() const { return splits_heads<kLoops>(!heads_.whole); }
  bool dropout() const { return kLoops == Loops::kGeneral && args_.dropout; }
  A dot_scale() const { return static_cast<A>(args_.options.dot_scale); }

  const KernelArgs& args_;
  Staged<T, 3> staged_;
  const A* const gamma_;
  const A* const alpha_;
  const A* const beta_;
  Heads<T> heads_;
  SplitHeads<T> split_;
  DropoutRows<T, kRows> keep_;
  typename Heads<T>::Values z_, u_;

 public:
  Condition<T, kConditional> condition;
};

// Backward (Eq. 6, multi-head: Appendix C). With s = rstd, w = m u alpha + gamma, and g = dy, in AdaSeeDNorm
// dy (1 + gamma(c)):
//   A_h = s sum_{i in h} g_i m_i alpha_i x_i,   B = sum_i g_i gamma_i x_i + sum_h u_h A_h / s
//   dx_i = w_i (g_i s) - x_i s^3 B / D + c_h beta_i,   c_h = dot_scale sigma'(z_h) A_h
//   dgamma = sum_rows (g s) x,   dalpha = sum_rows u m (g s) x,   dbeta = sum_rows c x
//   dgamma(c) = sum_rows dy w (s x),   deta(c) = sum_rows dy
template <class T, Loops kLoops, bool kConditional>
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
    typename SplitHeads<T>::Columns heads;
    const A *u, *c;
  };
  struct Params {
    const A *gamma, *alpha, *beta, *gamma_c;
    typename SplitHeads<T>::Table heads;
    const A *u, *c;
    bool expanded;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      Cols out{};
      out.gamma = load_unit_order<T>(gamma + c);
      out.alpha = load_unit_order<T>(alpha + c);
      if constexpr (kMap) out.beta = load_unit_order<T>(beta + c);
      if constexpr (kConditional) out.gamma_c = load_unit_order<T>(gamma_c + c);
      if (splits_heads<kLoops>(expanded)) {
        heads.template get<kMap>(c, out.heads);
        out.u = u;
        out.c = this->c;
      }
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
        split_(heads_, expanded()),
        keep_map_(args),
        keep_sum_(args),
        a_(heads_.values()),
        z_(heads_.values()),
        u_(heads_.values()),
        c_(heads_.values()),
        condition(args) {
    heads_.clear(z_);
    heads_.clear(a_);
  }

  void begin_rows(int rows) { heads_.begin_rows(rows); }
  size_t num_segments() const { return expanded() ? 1 : heads_.count; }
  size_t segment_cols() const { return heads_.cols; }

  HWY_INLINE Params params() {
    return {gamma_, alpha_, beta_, condition.gamma_c, split_.table(), u_.data(), c_.data(), expanded()};
  }

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
    if (expanded()) cols.heads.keep(product, at.in_block);
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
      split_.template sum<R>(A{1}, a_.data());
      for (int i = 0; i < R; ++i) std::copy_n(stats + i * args_.num_stats + 1, count, &z_[heads_.at(0, i)]);
    } else {
      for (size_t h = 0; h < count; ++h) {
        A z[R];
        for (int i = 0; i < R; ++i) z[i] = stats[i * args_.num_stats + 1 + h];
        heads_.template keep<R>(z, h, 0, z_.data());
      }
    }
    sigma_array<true>(args_.options.sigma, z_.data(), heads_.size(), u_.data(), c_.data());
    A dots[R];
    sum_rows<T, R>([&](int i) SEEDNORM_LAMBDA { return sums[i].dot_gamma; }, dots);
    A scale[R];
    for (int i = 0; i < R; ++i) scale[i] = stats[i * args_.num_stats];
    finish_slopes<R>(scale, dots);
    for (int i = 0; i < R; ++i) {
      states[i].scale = hn::Set(Tag<T>(), scale[i]);
      states[i].pull = hn::Set(Tag<T>(), RmsScale::pull(scale[i], dots[i], static_cast<A>(args_.dim), A{0}));
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
      wide_u = cols.heads.spread(cols.u, at.in_block);
      wide_c = cols.heads.spread(cols.c, at.in_block);
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
  // Turns sigma'(z_h) into c_h for R rows, and adds the sum of u_h A_h / s to the row's sum.
  template <int R>
  HWY_INLINE void finish_slopes(const A* scale, A* sum) {
#if HWY_TARGET != HWY_SCALAR
    if constexpr (std::is_same_v<A, float>) {
      if (expanded()) {
        for (int i = 0; i < R; ++i) sum[i] += finish_row_of_slopes(i, scale[i]);
        return;
      }
      if constexpr (R == 4) return finish_heads_of_slopes(scale, sum);
    }
#endif
    for (int i = 0; i < R; ++i) {
      for (size_t h = 0; h < heads_.count; ++h) {
        const A a = a_[heads_.at(h, i)];
        sum[i] += u_[heads_.at(h, i)] * a;
        c_[heads_.at(h, i)] *= dot_scale() * (scale[i] * a);
      }
    }
  }
#if HWY_TARGET != HWY_SCALAR
  // Heads side by side, with zeros in a_ from the last head to row_step. Returns the sum.
  HWY_INLINE float finish_row_of_slopes(int i, float scale) {
    const Tag4 d;
    V4 sum = hn::Zero(d);
    for (size_t j = i * heads_.row_step, end = j + heads_.row_step; j < end; j += 4) {
      sum = hn::Add(sum, finish_four_slopes(j, hn::Set(d, scale)));
    }
    return sum_lanes(d, sum);
  }
  // The four rows of a head side by side.
  HWY_INLINE void finish_heads_of_slopes(const float* scale, float* sum) {
    const Tag4 d;
    const V4 s = hn::LoadU(d, scale);
    V4 total = hn::LoadU(d, sum);
    for (size_t h = 0; h < heads_.count; ++h) total = hn::Add(total, finish_four_slopes(4 * h, s));
    hn::StoreU(total, d, sum);
  }
  // Those at j .. j + 3. Returns u A / s of each.
  HWY_INLINE V4 finish_four_slopes(size_t j, V4 scale) {
    const Tag4 d;
    const V4 a = hn::LoadU(d, a_.data() + j);
    const V4 factor = hn::Mul(hn::Set(d, dot_scale()), hn::Mul(scale, a));
    hn::StoreU(hn::Mul(hn::LoadU(d, c_.data() + j), factor), d, c_.data() + j);
    return hn::Mul(hn::LoadU(d, u_.data() + j), a);
  }
#endif
  bool expanded() const { return splits_heads<kLoops>(!heads_.whole); }
  bool dropout() const { return kLoops == Loops::kGeneral && args_.dropout; }
  A dot_scale() const { return static_cast<A>(args_.options.dot_scale); }

  const KernelArgs& args_;
  Staged<T, 3> staged_;
  const A* const gamma_;
  const A* const alpha_;
  const A* const beta_;
  Heads<T> heads_;
  SplitHeads<T> split_;
  DropoutRows<T, kRows> keep_map_, keep_sum_;  // of the two blocks that are under way at once
  typename Heads<T>::Values a_, z_, u_, c_;

 public:
  Condition<T, kConditional> condition;
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_SEED_INL_H_
