#include "lab/nn/cpu/attention_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lab/nn/cpu/attention_kernels.cc"
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on

#include <algorithm>

#include "lab/nn/cpu/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::lab::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace sn = seednorm::HWY_NAMESPACE;

template <class T, class W>
HWY_NOINLINE void weights_typed(const AttentionWeightArgs& a) {
  const sn::Tag<T> d;
  const AttentionBlock& block = a.block;
  const int64_t tiles = block.keys / a.tile;
  const auto scale = hn::Set(d, static_cast<T>(block.scale));
  for (int64_t i = 0; i < block.queries; ++i) {
    const T* const scores = static_cast<const T*>(a.scores) + i * a.tile;
    W* const weights = static_cast<W*>(a.weights) + i * a.tile;
    const auto seen_of = [&](int64_t t) {
      return static_cast<size_t>(std::clamp<int64_t>(block.first + i + 1 - t * a.tile, 0, a.tile));
    };
    const int64_t step = block.queries * a.tile;
    T largest = scores[0];
    for (int64_t t = 0; t < tiles; ++t) largest = largest_of(scores + t * step, seen_of(t), largest);
    auto total = hn::Zero(d);
    for (int64_t t = 0; t < tiles; ++t) {
      total = hn::Add(total, weights_of(scores + t * step, hn::Set(d, largest), scale, seen_of(t),
                                        static_cast<size_t>(a.tile), weights + t * step));
    }
    static_cast<T*>(a.largest)[i] = largest;
    static_cast<T*>(a.inverse)[i] = 1 / sn::sum_lanes(d, total);
  }
}

void weights(const AttentionWeightArgs& args) {
  if (args.block.dtype == DType::kFloat64) return weights_typed<double, double>(args);
  if (args.block.weight_dtype == DType::kFloat32) return weights_typed<float, float>(args);
  weights_typed<float, BFloat16>(args);
}

// A key's row of scores.
template <class T>
struct KeyRow {
  const T *scores, *dweights;
  int64_t unseen;  // the queries before this one do not see the key
};

template <class T>
struct QueryValues {
  const T *largest, *inverse, *delta;
  T scale;
};

// p and p (dweights - delta) of queries i .. i + n - 1.
template <class T>
HWY_INLINE void key_gradients(const KeyRow<T>& row, const QueryValues<T>& of, int64_t i, size_t n,
                              sn::V<T>& p, sn::V<T>& ds) {
  const sn::Tag<T> d;
  const auto s = load(row.scores + i, n), dp = load(row.dweights + i, n);
  const auto e = sn::exp_minus_abs(d, hn::Mul(hn::Set(d, of.scale), hn::Sub(s, load(of.largest + i, n))));
  p = hn::Mul(e, load(of.inverse + i, n));
  if (i < row.unseen) {  // scores that are not seen may be anything
    p = hn::IfThenElseZero(hn::Ge(hn::Iota(d, static_cast<T>(i)), hn::Set(d, static_cast<T>(row.unseen))), p);
  }
  ds = hn::Mul(p, hn::Sub(dp, load(of.delta + i, n)));
}

// Rows `key` and, where there are two, the next.
template <class T, class W, int kKeys>
HWY_INLINE void gradients_of_keys(const AttentionGradientArgs& a, const QueryValues<T>& of, int64_t key) {
  const sn::Tag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t queries = a.block.queries;
  KeyRow<T> rows[kKeys];
  for (int r = 0; r < kKeys; ++r) {
    const int64_t from = (key + r) * queries;
    rows[r] = {static_cast<const T*>(a.scores) + from, static_cast<const T*>(a.dweights) + from,
               std::max<int64_t>(key + r - a.block.first, 0)};
  }
  for (int64_t i = 0; i < queries; i += lanes) {
    const auto n = static_cast<size_t>(std::min(lanes, queries - i));
    sn::V<T> p[2] = {hn::Zero(d), hn::Zero(d)}, ds[2] = {hn::Zero(d), hn::Zero(d)};
    for (int r = 0; r < kKeys; ++r) {
      if (rows[r].unseen < i + lanes) key_gradients(rows[r], of, i, n, p[r], ds[r]);
      const int64_t to = (key + r) * queries + i;
      store(d, p[r], static_cast<W*>(a.weights) + to, n);
      store(d, ds[r], static_cast<W*>(a.dscores) + to, n);
    }
    if constexpr (std::is_same_v<W, BFloat16>) {
      const hn::RebindToUnsigned<decltype(d)> du;
      const auto low = hn::ShiftRight<16>(sn::round_to_bfloat16(d, ds[0]));
      const auto high = hn::And(sn::round_to_bfloat16(d, ds[1]), hn::Set(du, 0xFFFF0000u));
      store(d, hn::BitCast(d, hn::Or(low, high)), static_cast<float*>(a.pairs) + key / 2 * queries + i, n);
    }
  }
}

template <class T, class W>
HWY_NOINLINE void gradients_typed(const AttentionGradientArgs& a) {
  const QueryValues<T> of = {static_cast<const T*>(a.largest), static_cast<const T*>(a.inverse),
                             static_cast<const T*>(a.delta), static_cast<T>(a.block.scale)};
  int64_t key = 0;
  for (; key + 2 <= a.block.keys; key += 2) gradients_of_keys<T, W, 2>(a, of, key);
  if (key < a.block.keys) gradients_of_keys<T, W, 1>(a, of, key);
}

void gradients(const AttentionGradientArgs& args) {
  if (args.block.dtype == DType::kFloat64) return gradients_typed<double, double>(args);
  if (args.block.weight_dtype == DType::kFloat32) return gradients_typed<float, float>(args);
  gradients_typed<float, BFloat16>(args);
}

}  // namespace seednorm::lab::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seednorm::lab {

HWY_EXPORT(weights);
HWY_EXPORT(gradients);

void attention_weights(const AttentionWeightArgs& args) { HWY_DYNAMIC_DISPATCH(weights)(args); }
void attention_gradients(const AttentionGradientArgs& args) { HWY_DYNAMIC_DISPATCH(gradients)(args); }

}  // namespace seednorm::lab
#endif  // HWY_ONCE
