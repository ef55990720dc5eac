// Parts of softmax over a row of scores, for kernels of attention.
#if defined(SEEDNORM_LAB_NN_CPU_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_LAB_NN_CPU_SOFTMAX_INL_H_
#undef SEEDNORM_LAB_NN_CPU_SOFTMAX_INL_H_
#else
#define SEEDNORM_LAB_NN_CPU_SOFTMAX_INL_H_
#endif

#include <algorithm>

#include "core/cpu/lanes-inl.h"
#include "core/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::lab::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace sn = seednorm::HWY_NAMESPACE;

// The first n lanes of v, rounded if W is bfloat16. Lanes are in the order of memory, unlike those of a Unit
// of bfloat16.
template <class D, class W>
HWY_INLINE void store(D d, hn::Vec<D> v, W* p, size_t n) {
  if constexpr (std::is_same_v<W, BFloat16>) {
    const hn::Rebind<uint16_t, D> d16;
    const auto bits = hn::TruncateTo(d16, hn::ShiftRight<16>(sn::round_to_bfloat16(d, v)));
    auto* const to = reinterpret_cast<uint16_t*>(p);
    if (n == hn::Lanes(d)) return hn::StoreU(bits, d16, to);
    HWY_ALIGN uint16_t buffer[hn::MaxLanes(d16)];
    hn::StoreU(bits, d16, buffer);
    std::copy_n(buffer, n, to);
  } else {
    if (n == hn::Lanes(d)) return hn::StoreU(v, d, p);
    sn::store_partial<W>({{v}}, p, n);
  }
}

template <class T>
HWY_INLINE sn::V<T> load(const T* p, size_t n) {
  return n == hn::Lanes(sn::Tag<T>()) ? hn::LoadU(sn::Tag<T>(), p) : sn::load_partial(p, n).v[0];
}

template <class T>
HWY_INLINE T largest_of(const T* scores, size_t count, T out) {
  const sn::Tag<T> d;
  const size_t lanes = hn::Lanes(d);
  auto largest = hn::Set(d, out);
  size_t j = 0;
  for (; j + lanes <= count; j += lanes) largest = hn::Max(largest, hn::LoadU(d, scores + j));
  out = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; j < count; ++j) out = std::max(out, scores[j]);
  return out;
}

// The weights of one query in a tile of `tile` keys, of which it sees `seen`. Returns their sum by lanes.
template <class T, class W>
HWY_INLINE sn::V<T> weights_of(const T* scores, sn::V<T> largest, sn::V<T> scale, size_t seen, size_t tile,
                               W* weights) {
  const sn::Tag<T> d;
  const size_t lanes = hn::Lanes(d);
  const auto weight = [&](sn::V<T> s) SEEDNORM_LAMBDA {
    return sn::exp_minus_abs(d, hn::Mul(scale, hn::Sub(s, largest)));
  };
  auto total = hn::Zero(d);
  size_t j = 0;
  for (; j + lanes <= seen; j += lanes) {
    const auto e = weight(hn::LoadU(d, scores + j));
    store(d, e, weights + j, lanes);
    total = hn::Add(total, e);
  }
  if (j < seen) {
    const auto e = hn::IfThenElseZero(hn::FirstN(d, seen - j), weight(load(scores + j, seen - j)));
    store(d, e, weights + j, std::min(lanes, tile - j));
    total = hn::Add(total, e);
    j += lanes;
  }
  for (; j < tile; j += lanes) store(d, hn::Zero(d), weights + j, std::min(lanes, tile - j));
  return total;
}

}  // namespace seednorm::lab::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_LAB_NN_CPU_SOFTMAX_INL_H_
