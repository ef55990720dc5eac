// Policies of the norms that are a gain times the row times one scale of the row: RMSNorm, ScaleNorm.
#if defined(SEEDNORM_CORE_CPU_GAIN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_GAIN_INL_H_
#undef SEEDNORM_CORE_CPU_GAIN_INL_H_
#else
#define SEEDNORM_CORE_CPU_GAIN_INL_H_
#endif

#include "core/cpu/run-inl.h"
#include "core/kernel/row_scale.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

// y = gamma (x scale); Scale::scale(sum of squares, D, eps) gives the row's scale.
template <class T, class Scale>
class GainForward : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = true;
  static constexpr bool kCentred = false;
  struct Cols {
    Unit<T> gamma;
  };
  struct Params {
    const A* gamma;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      Cols out{};
      if constexpr (kMap) out.gamma = load_unit_order<T>(gamma + c);
      return out;
    }
  };
  struct Sums {
    V<T> squares;
  };
  struct State {
    V<T> scale;
  };

  explicit GainForward(const KernelArgs& args)
      : args_(args), staged_(args.dim), gamma_(staged_.get(args.param(Param::kGamma), 0)) {}

  HWY_INLINE Params params() const { return {gamma_}; }
  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>())}; }
  HWY_INLINE void accumulate(const Cols&, const Unit<T>& x, const At&, Sums& sums) const {
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { sums.squares = hn::MulAdd(x.v[k], x.v[k], sums.squares); });
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    A squares[R];
    sum_rows<T, R>([&](int i) SEEDNORM_LAMBDA { return sums[i].squares; }, squares);
    for (int i = 0; i < R; ++i) {
      const A scale = Scale::scale(squares[i], static_cast<A>(args_.dim), static_cast<A>(args_.options.eps));
      if (args_.stats_out != nullptr) static_cast<A*>(args_.stats_out)[row + i] = scale;
      states[i].scale = hn::Set(Tag<T>(), scale);
    }
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const At&) const {
    Unit<T> y;
    for_vecs<T>([&](auto k)
                    SEEDNORM_LAMBDA { y.v[k] = hn::Mul(cols.gamma.v[k], hn::Mul(x.v[k], state.scale)); });
    return y;
  }

 private:
  const KernelArgs& args_;
  Staged<T, 1> staged_;
  const A* const gamma_;
};

// dx = scale g gamma - x Scale::pull(scale, sum g gamma x, D, eps).
template <class T, class Scale>
class GainBackward : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = true;
  static constexpr int kSlots = 1;
  struct Cols {
    Unit<T> gamma;
  };
  struct Params {
    const A* gamma;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      return {load_unit_order<T>(gamma + c)};
    }
  };
  struct Sums {
    V<T> dot;  // of g gamma and x
  };
  struct State {
    V<T> scale, pull;
  };

  explicit GainBackward(const KernelArgs& args)
      : args_(args), staged_(args.dim), gamma_(staged_.get(args.param(Param::kGamma), 0)) {}

  HWY_INLINE Params params() const { return {gamma_}; }
  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>())}; }
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const Unit<T>& g, const At&,
                             Sums& sums) const {
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      sums.dot = hn::MulAdd(cols.gamma.v[k], hn::Mul(g.v[k], x.v[k]), sums.dot);
    });
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    A dots[R];
    sum_rows<T, R>([&](int i) SEEDNORM_LAMBDA { return sums[i].dot; }, dots);
    for (int i = 0; i < R; ++i) {
      const A scale = static_cast<const A*>(args_.stats)[row + i];
      const A sum = dots[i];
      states[i].scale = hn::Set(Tag<T>(), scale);
      states[i].pull = hn::Set(
          Tag<T>(), Scale::pull(scale, sum, static_cast<A>(args_.dim), static_cast<A>(args_.options.eps)));
    }
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const Unit<T>& g, const At&,
                         Unit<T>* total) const {
    Unit<T> dx;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto g_scaled = hn::Mul(g.v[k], state.scale);
      dx.v[k] = hn::NegMulAdd(x.v[k], state.pull, hn::Mul(cols.gamma.v[k], g_scaled));
      total[0].v[k] = hn::MulAdd(g_scaled, x.v[k], total[0].v[k]);
    });
    return dx;
  }

 private:
  const KernelArgs& args_;
  Staged<T, 1> staged_;
  const A* const gamma_;
};

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_GAIN_INL_H_
