// LayerNorm (Ba et al., arXiv 1607.06450).
//
//   y_i = gamma_i (x_i - mean) rstd + beta_i,   rstd = 1 / sqrt(var + eps)
//
// var is the mean of (x_i - mean)^2, taken in a second pass over the row.
// gamma: vector or none (1); beta: vector or none (0, "without bias").
// Backward, with n = (x - mean) rstd and h = dy gamma:
//   dx = rstd (h - mean(h) - n mean(h n)),   dgamma = sum_rows dy n,   dbeta = sum_rows dy
#ifndef SEEDNORM_NORMS_LAYER_NORM_ONCE_
#define SEEDNORM_NORMS_LAYER_NORM_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::layer_norm {

inline NormInfo info() {
  return {
      .name = "layer_norm",
      .all_params = {{
          {.param = Param::kGamma,
           .role = ParamRole::kGain,
           .state_name = "weight",
           .initial_value = 1,
           .absent_value = 1,
           .forms = {Form::kVector, Form::kNone}},
          {.param = Param::kBeta,
           .role = ParamRole::kOffset,
           .state_name = "bias",
           .forms = {Form::kVector, Form::kNone}},
      }},
      .num_stats = [](const Options&) -> int64_t { return 2; },
      .has_residual_add = true,
      .has_eps = true,
  };
}

}  // namespace seednorm::layer_norm
#endif  // SEEDNORM_NORMS_LAYER_NORM_ONCE_

#if defined(SEEDNORM_NORMS_LAYER_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_LAYER_NORM_INL_H_
#undef SEEDNORM_NORMS_LAYER_NORM_INL_H_
#else
#define SEEDNORM_NORMS_LAYER_NORM_INL_H_
#endif

#include <cmath>

#include "core/cpu/hardware_bfloat16-inl.h"
#include "core/cpu/run-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::layer_norm::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

template <class T>
class Forward : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = true;
  static constexpr bool kCentred = true;
  struct Cols {
    Unit<T> gamma, beta;
  };
  struct Params {
    const A *gamma, *beta;
    template <bool kMap, bool kReduce>
    HWY_INLINE Cols cols(size_t c) const {
      Cols out{};
      if constexpr (kMap) out = {load_unit_order<T>(gamma + c), load_unit_order<T>(beta + c)};
      return out;
    }
  };
  struct Sums {
    V<T> total;  // of x, then of (x - mean)^2
  };
  struct State {
    V<T> mean, scale;
  };

  explicit Forward(const KernelArgs& args)
      : args_(args),
        staged_(args.dim),
        gamma_(staged_.get(args.param(Param::kGamma), 0)),
        beta_(staged_.get(args.param(Param::kBeta), 1)) {}

  HWY_INLINE Params params() const { return {gamma_, beta_}; }
  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>())}; }
  HWY_INLINE void accumulate(const Cols&, const Unit<T>& x, const At&, Sums& sums) const {
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { sums.total = hn::Add(sums.total, x.v[k]); });
  }
  // After the first pass: the means.
  template <int R>
  HWY_INLINE void finish_first(Sums* sums, State* states) const {
    for (int i = 0; i < R; ++i) {
      states[i].mean = hn::Set(Tag<T>(), sum_lanes(Tag<T>(), sums[i].total) / static_cast<A>(args_.dim));
      sums[i].total = hn::Zero(Tag<T>());
    }
  }
  // Second pass. Lanes beyond the row hold zero, whose distance from the mean does not count.
  template <bool kPartial>
  HWY_INLINE void accumulate_second(const Unit<T>& x, const At& at, const State& state, Sums& sums) const {
    Unit<T> centred;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { centred.v[k] = hn::Sub(x.v[k], state.mean); });
    if constexpr (kPartial) centred = keep_first<T>(centred, at.n);
    for_vecs<T>([&](auto k)
                    SEEDNORM_LAMBDA { sums.total = hn::MulAdd(centred.v[k], centred.v[k], sums.total); });
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    for (int i = 0; i < R; ++i) {
      const A variance = sum_lanes(Tag<T>(), sums[i].total) / static_cast<A>(args_.dim);
      const A scale = 1 / std::sqrt(variance + static_cast<A>(args_.options.eps));
      states[i].scale = hn::Set(Tag<T>(), scale);
      if (args_.stats_out == nullptr) continue;
      A* stats = static_cast<A*>(args_.stats_out) + (row + i) * 2;
      stats[0] = hn::GetLane(states[i].mean);
      stats[1] = scale;
    }
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const At&) const {
    Unit<T> y;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto normalized = hn::Mul(hn::Sub(x.v[k], state.mean), state.scale);
      y.v[k] = hn::MulAdd(cols.gamma.v[k], normalized, cols.beta.v[k]);
    });
    return y;
  }

 private:
  const KernelArgs& args_;
  Staged<T, 2> staged_;
  const A* const gamma_;
  const A* const beta_;
};

template <class T>
class Backward : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = true;
  static constexpr int kSlots = 2;
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
    V<T> h, h_centred;  // sums of h, and of h (x - mean)
  };
  struct State {
    V<T> mean, scale, mean_h, pull;  // pull: rstd^2 mean(h (x - mean))
  };

  explicit Backward(const KernelArgs& args)
      : args_(args), staged_(args.dim), gamma_(staged_.get(args.param(Param::kGamma), 0)) {}

  HWY_INLINE Params params() const { return {gamma_}; }
  HWY_INLINE Sums begin_sums() const { return {hn::Zero(Tag<T>()), hn::Zero(Tag<T>())}; }
  // Lanes beyond the row have dy = 0 and add nothing.
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const Unit<T>& g, const At& at,
                             Sums& sums) const {
    const auto mean = hn::Set(Tag<T>(), stats(at.row)[0]);
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto h = hn::Mul(g.v[k], cols.gamma.v[k]);
      sums.h = hn::Add(sums.h, h);
      sums.h_centred = hn::MulAdd(h, hn::Sub(x.v[k], mean), sums.h_centred);
    });
  }
  template <int R>
  HWY_INLINE void finish(const Sums* sums, int64_t row, State* states) const {
    const Tag<T> d;
    const A dim = static_cast<A>(args_.dim);
    for (int i = 0; i < R; ++i) {
      const A mean = stats(row + i)[0], scale = stats(row + i)[1];
      states[i] = {hn::Set(d, mean), hn::Set(d, scale), hn::Set(d, sum_lanes(Tag<T>(), sums[i].h) / dim),
                   hn::Set(d, sum_lanes(Tag<T>(), sums[i].h_centred) / dim * scale * scale)};
    }
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State& state, const Unit<T>& x, const Unit<T>& g, const At&,
                         Unit<T>* total) const {
    Unit<T> dx;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto centred = hn::Sub(x.v[k], state.mean);
      const auto inner = hn::Sub(hn::Mul(g.v[k], cols.gamma.v[k]), state.mean_h);
      dx.v[k] = hn::Mul(state.scale, hn::NegMulAdd(centred, state.pull, inner));
      total[0].v[k] = hn::MulAdd(g.v[k], hn::Mul(centred, state.scale), total[0].v[k]);
      total[1].v[k] = hn::Add(g.v[k], total[1].v[k]);
    });
    return dx;
  }

 private:
  const A* stats(int64_t row) const { return static_cast<const A*>(args_.stats) + row * 2; }

  const KernelArgs& args_;
  Staged<T, 1> staged_;
  const A* const gamma_;
};

template <class T>
void forward_typed(const KernelArgs& args, int64_t begin, int64_t end) {
  with_storage<T>([&]<class S>(StorageType<S>) HWY_ATTR {
    Forward<S> policy(args);
    run_forward<S>(args, policy, begin, end);
  });
}
template <class T>
void backward_typed(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk) {
  with_storage<T>([&]<class S>(StorageType<S>) HWY_ATTR {
    Backward<S> policy(args);
    run_backward<S>(args, policy, begin, end, chunk);
  });
}

}  // namespace seednorm::layer_norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_LAYER_NORM_INL_H_
