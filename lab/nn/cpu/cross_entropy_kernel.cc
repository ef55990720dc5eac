#include "lab/nn/cpu/cross_entropy_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lab/nn/cpu/cross_entropy_kernel.cc"
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/cpu/lanes-inl.h"
#include "core/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::lab::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace sn = seednorm::HWY_NAMESPACE;

// Calls use(unit, column, number of columns) for the row's units. Beyond the row a unit repeats `filler`.
template <class T, class Use>
HWY_INLINE void for_units(const T* row, size_t count, sn::Acc<T> filler, const Use& use) {
  const size_t unit = sn::unit_cols<T>();
  size_t c = 0;
  for (; c + unit <= count; c += unit) use(sn::load_unit(row + c), c, unit);
  if (c == count) return;
  sn::Unit<T> last = sn::load_partial(row + c, count - c);
  const sn::Unit<T> there = sn::keep_first<T>(sn::set_unit<T>(1), count - c);
  const sn::Tag<T> d;
  sn::for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
    last.v[k] = hn::IfThenElse(hn::Eq(there.v[k], hn::Set(d, 1)), last.v[k], hn::Set(d, filler));
  });
  use(last, c, count - c);
}

HWY_INLINE float value(float x) { return x; }
HWY_INLINE double value(double x) { return x; }
HWY_INLINE float value(BFloat16 x) { return bfloat16_to_float(x.bits); }
HWY_INLINE void put(float* y, double v) { *y = static_cast<float>(v); }
HWY_INLINE void put(double* y, double v) { *y = v; }
HWY_INLINE void put(BFloat16* y, double v) { y->bits = float_to_bfloat16(static_cast<float>(v)); }

template <class T>
HWY_INLINE sn::Acc<T> largest_of(const T* row, size_t count) {
  const sn::Tag<T> d;
  auto largest = hn::Set(d, value(row[0]));
  for_units<T>(row, count, value(row[0]), [&](const sn::Unit<T>& x, size_t, size_t) SEEDNORM_LAMBDA {
    sn::for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { largest = hn::Max(largest, x.v[k]); });
  });
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// sum_j exp(row[j] - largest).
template <class T>
HWY_INLINE double sum_of(const T* row, size_t count, sn::Acc<T> largest) {
  const sn::Tag<T> d;
  const auto shift = hn::Set(d, largest);
  auto total = hn::Zero(d);
  constexpr auto kNothing = -std::numeric_limits<sn::Acc<T>>::infinity();  // exp(-infinity) = 0
  for_units<T>(row, count, kNothing, [&](const sn::Unit<T>& x, size_t, size_t) SEEDNORM_LAMBDA {
    sn::for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      total = hn::Add(total, sn::exp_minus_abs(d, hn::Sub(x.v[k], shift)));
    });
  });
  return static_cast<double>(sn::sum_lanes(d, total));
}

template <class T>
HWY_INLINE void softmax(T* row, size_t count, sn::Acc<T> largest, double sum) {
  const sn::Tag<T> d;
  const auto shift = hn::Set(d, largest), scale = hn::Set(d, static_cast<sn::Acc<T>>(1 / sum));
  for_units<T>(row, count, largest, [&](sn::Unit<T> x, size_t c, size_t n) SEEDNORM_LAMBDA {
    sn::for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      x.v[k] = hn::Mul(sn::exp_minus_abs(d, hn::Sub(x.v[k], shift)), scale);
    });
    if (n == sn::unit_cols<T>()) return sn::store_unit(x, row + c);
    sn::store_partial(x, row + c, n);
  });
}

template <class T>
HWY_NOINLINE void rows_typed(const CrossEntropyArgs& a) {
  const auto classes = static_cast<size_t>(a.classes);
  for (int64_t i = 0; i < a.rows; ++i) {
    T* const row = static_cast<T*>(a.logits) + i * a.classes;
    const int64_t target = a.targets[i];
    a.losses[i] = 0;
    if (target < 0) {
      if (a.gradients) std::fill_n(row, classes, T{});
      continue;
    }
    const auto largest = largest_of(row, classes);
    const double sum = sum_of(row, classes, largest);
    const double excess = static_cast<double>(largest) - static_cast<double>(value(row[target]));
    a.losses[i] = std::log(sum) + excess;
    if (!a.gradients) continue;
    softmax(row, classes, largest, sum);
    put(row + target, std::exp(-excess) / sum - 1);
  }
}

void rows(const CrossEntropyArgs& args) {
  if (args.dtype == DType::kFloat64) return rows_typed<double>(args);
  if (args.dtype == DType::kFloat32) return rows_typed<float>(args);
  rows_typed<BFloat16>(args);
}

}  // namespace seednorm::lab::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seednorm::lab {

HWY_EXPORT(rows);

void cross_entropy_rows(const CrossEntropyArgs& args) { HWY_DYNAMIC_DISPATCH(rows)(args); }

}  // namespace seednorm::lab
#endif  // HWY_ONCE
