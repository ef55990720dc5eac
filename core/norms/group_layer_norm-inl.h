// Group LayerNorm: LayerNorm of each group of adjacent columns, which is GroupNorm (Wu and He, arXiv
// 1803.08494) of a row. The number of groups is the option num_heads; one group is LayerNorm.
//
//   y_i = gamma_i (x_i - mean_h) rstd_h + beta_i,   rstd_h = 1 / sqrt(var_h + eps),   h is the group of i
//
// var_h is the mean of (x_i - mean_h)^2, taken in a second pass over the row.
// Backward, with n = (x - mean) rstd, h = dy gamma, and means over the group:
//   dx = rstd (h - mean(h) - n mean(h n)),   dgamma = sum_rows dy n,   dbeta = sum_rows dy
#ifndef SEEDNORM_NORMS_GROUP_LAYER_NORM_ONCE_
#define SEEDNORM_NORMS_GROUP_LAYER_NORM_ONCE_
#include "core/kernel/kernel_args.h"

namespace seednorm::group_layer_norm {

// The statistics of a row are mean and rstd of each group in turn.
inline NormInfo info() {
  return {
      .name = "group_layer_norm",
      .all_params = {{
          {.param = Param::kGamma, .role = ParamRole::kGain, .state_name = "weight", .initial_value = 1},
          {.param = Param::kBeta, .role = ParamRole::kOffset, .state_name = "bias"},
      }},
      .num_stats = [](const Options& options) -> int64_t { return 2 * options.num_heads; },
      .has_eps = true,
      .has_heads = true,
  };
}

}  // namespace seednorm::group_layer_norm
#endif  // SEEDNORM_NORMS_GROUP_LAYER_NORM_ONCE_

#if defined(SEEDNORM_NORMS_GROUP_LAYER_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_NORMS_GROUP_LAYER_NORM_INL_H_
#undef SEEDNORM_NORMS_GROUP_LAYER_NORM_INL_H_
#else
#define SEEDNORM_NORMS_GROUP_LAYER_NORM_INL_H_
#endif

#include <cmath>

#include "core/cpu/heads-inl.h"
#include "core/cpu/run-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::group_layer_norm::HWY_NAMESPACE {
using namespace ::seednorm::HWY_NAMESPACE;  // NOLINT: the engine, for the same target

// A row at a time is widened to an array, in which groups of any width are summed, and the numbers of groups
// are spread to arrays as long as the row: simple rather than fast. Arrays have unit order, and zeros beyond
// the row.
template <class T>
class Base : public SingleSegment {
 public:
  using A = Acc<T>;
  static constexpr bool kReduces = true;
  static constexpr bool kOneRow = true;
  struct Sums {};
  struct State {};

  explicit Base(const KernelArgs& args)
      : args_(args),
        heads_(args),
        padded_(round_up(heads_.dim, unit_cols<T>())),
        whole_(Heads<T>::whole_units(args)),
        of_groups_(heads_.values()) {}

  HWY_INLINE Sums begin_sums() const { return {}; }

 protected:
  // Of each group, the mean of its part of the array.
  void take_means(const A* row, A* means) {
    if (!whole_) {
      heads_.sum(row, 0, A{1}, means);
    } else {
      const Tag<T> d;
      const size_t cols = heads_.count == 1 ? padded_ : heads_.cols;
      for (size_t h = 0; h < heads_.count; ++h) {
        V<T> sum = hn::Zero(d);
        for (size_t c = 0; c < cols; c += hn::Lanes(d)) sum = hn::Add(sum, hn::LoadU(d, row + h * cols + c));
        means[h] = sum_lanes(d, sum);
      }
    }
    for (size_t h = 0; h < heads_.count; ++h) means[h] /= static_cast<A>(heads_.cols);
  }
  // What `value` makes of each group, for its columns.
  template <class Value>
  void spread(const Value& value, A* out) {
    for (size_t h = 0; h < heads_.count; ++h) of_groups_[h] = value(h);
    heads_.spread(of_groups_.data(), 0, out);
  }

  const KernelArgs& args_;
  const Heads<T> heads_;
  const size_t padded_;

 private:
  const bool whole_;  // groups are whole units
  typename Heads<T>::Values of_groups_;
};

template <class T>
class Forward : public Base<T> {
 public:
  using typename Base<T>::A;
  using typename Base<T>::State;
  using typename Base<T>::Sums;
  static constexpr bool kCentred = false;
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

  explicit Forward(const KernelArgs& args)
      : Base<T>(args),
        staged_(args.dim),
        gamma_(staged_.get(args.param(Param::kGamma), 0)),
        beta_(staged_.get(args.param(Param::kBeta), 1)),
        row_(this->padded_),
        mean_(this->padded_),
        rstd_(this->padded_),
        means_(this->heads_.values()),
        variances_(this->heads_.values()) {}

  HWY_INLINE Params params() const { return {gamma_, beta_}; }
  HWY_INLINE void accumulate(const Cols&, const Unit<T>& x, const At& at, Sums&) {
    store_unit_order(x, row_.data() + at.c);
  }
  template <int R>
  HWY_INLINE void finish(const Sums*, int64_t row, State*) {
    const Tag<T> d;
    this->take_means(row_.data(), means_.data());
    this->spread([&](size_t h) { return means_[h]; }, mean_.data());
    for (size_t c = 0; c < this->padded_; c += hn::Lanes(d)) {
      const auto centred = hn::Sub(hn::LoadU(d, row_.data() + c), hn::LoadU(d, mean_.data() + c));
      hn::StoreU(hn::Mul(centred, centred), d, row_.data() + c);
    }
    this->take_means(row_.data(), variances_.data());
    const A eps = static_cast<A>(this->args_.options.eps);
    this->spread([&](size_t h) { return variances_[h] = 1 / std::sqrt(variances_[h] + eps); }, rstd_.data());
    if (this->args_.stats_out == nullptr) return;
    A* const stats = static_cast<A*>(this->args_.stats_out) + row * this->args_.num_stats;
    for (size_t h = 0; h < this->heads_.count; ++h) {
      stats[2 * h] = means_[h];
      stats[2 * h + 1] = variances_[h];
    }
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State&, const Unit<T>& x, const At& at) const {
    const Unit<T> mean = load_unit_order<T>(mean_.data() + at.c),
                  rstd = load_unit_order<T>(rstd_.data() + at.c);
    Unit<T> y;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto normalized = hn::Mul(hn::Sub(x.v[k], mean.v[k]), rstd.v[k]);
      y.v[k] = hn::MulAdd(cols.gamma.v[k], normalized, cols.beta.v[k]);
    });
    return y;
  }

 private:
  Staged<T, 2> staged_;
  const A* const gamma_;
  const A* const beta_;
  Buffer<A, 1024> row_, mean_, rstd_;
  typename Heads<T>::Values means_, variances_;  // the latter become rstd
};

template <class T>
class Backward : public Base<T> {
 public:
  using typename Base<T>::A;
  using typename Base<T>::State;
  using typename Base<T>::Sums;
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

  explicit Backward(const KernelArgs& args)
      : Base<T>(args),
        staged_(args.dim),
        gamma_(staged_.get(args.param(Param::kGamma), 0)),
        mean_(this->padded_),
        rstd_(this->padded_),
        h_(this->padded_),
        pull_(this->padded_),
        means_(this->heads_.values()) {}

  HWY_INLINE Params params() const { return {gamma_}; }
  HWY_INLINE void accumulate(const Cols& cols, const Unit<T>& x, const Unit<T>& g, const At& at, Sums&) {
    if (at.c == 0) {
      this->spread([&](size_t h) { return stats(at.row)[2 * h]; }, mean_.data());
      this->spread([&](size_t h) { return stats(at.row)[2 * h + 1]; }, rstd_.data());
    }
    const Unit<T> mean = load_unit_order<T>(mean_.data() + at.c);
    Unit<T> h, h_centred;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      h.v[k] = hn::Mul(g.v[k], cols.gamma.v[k]);
      h_centred.v[k] = hn::Mul(h.v[k], hn::Sub(x.v[k], mean.v[k]));
    });
    store_unit_order(h, h_.data() + at.c);
    store_unit_order(h_centred, pull_.data() + at.c);
  }
  // h becomes its mean, and pull rstd^2 mean(h (x - mean)).
  template <int R>
  HWY_INLINE void finish(const Sums*, int64_t row, State*) {
    this->take_means(h_.data(), means_.data());
    this->spread([&](size_t h) { return means_[h]; }, h_.data());
    this->take_means(pull_.data(), means_.data());
    this->spread([&](size_t h) { return means_[h] * stats(row)[2 * h + 1] * stats(row)[2 * h + 1]; },
                 pull_.data());
  }
  HWY_INLINE Unit<T> map(const Cols& cols, const State&, const Unit<T>& x, const Unit<T>& g, const At& at,
                         Unit<T>* total) const {
    const Unit<T> mean = load_unit_order<T>(mean_.data() + at.c),
                  rstd = load_unit_order<T>(rstd_.data() + at.c),
                  mean_h = load_unit_order<T>(h_.data() + at.c),
                  pull = load_unit_order<T>(pull_.data() + at.c);
    Unit<T> dx;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto centred = hn::Sub(x.v[k], mean.v[k]);
      const auto inner = hn::Sub(hn::Mul(g.v[k], cols.gamma.v[k]), mean_h.v[k]);
      dx.v[k] = hn::Mul(rstd.v[k], hn::NegMulAdd(centred, pull.v[k], inner));
      total[0].v[k] = hn::MulAdd(g.v[k], hn::Mul(centred, rstd.v[k]), total[0].v[k]);
      total[1].v[k] = hn::Add(g.v[k], total[1].v[k]);
    });
    return dx;
  }

 private:
  const A* stats(int64_t row) const {
    return static_cast<const A*>(this->args_.stats) + row * this->args_.num_stats;
  }

  Staged<T, 1> staged_;
  const A* const gamma_;
  Buffer<A, 1024> mean_, rstd_, h_, pull_;
  typename Heads<T>::Values means_;
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

}  // namespace seednorm::group_layer_norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_NORMS_GROUP_LAYER_NORM_INL_H_
