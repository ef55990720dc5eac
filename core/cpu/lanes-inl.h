// Loads and stores in units of columns: the data's dtype in memory, float (double for double) in vectors.
//
// A unit is one vector of columns, or, for bfloat16, the two vectors of the even and of the odd columns of a
// group: widening then is one shift or one mask for each vector instead of a cross-lane shuffle and a
// shift. Order inside a unit does not matter to elementwise work; parameters and partial sums are kept in
// the same order ("unit order").
#if defined(SEEDNORM_CORE_CPU_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_LANES_INL_H_
#undef SEEDNORM_CORE_CPU_LANES_INL_H_
#else
#define SEEDNORM_CORE_CPU_LANES_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

#include "core/kernel/half.h"
#include "core/kernel/kernel_args.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The type of arithmetic.
template <class T>
using Acc = std::conditional_t<std::is_same_v<T, double>, double, float>;
template <class T>
using Tag = hn::ScalableTag<Acc<T>>;
template <class T>
using V = hn::Vec<Tag<T>>;

// Vectors per unit. Targets of one lane have no even and odd columns.
#if HWY_TARGET == HWY_SCALAR
template <class T>
constexpr int kVecs = 1;
#else
template <class T>
constexpr int kVecs = std::is_same_v<T, BFloat16> ? 2 : 1;
#endif

template <class T>
struct Unit {
  V<T> v[kVecs<T>];
};

// Columns per unit.
template <class T>
HWY_INLINE size_t unit_cols() {
  return hn::Lanes(Tag<T>()) * kVecs<T>;
}

// For lambdas of the inner loops, which are compiled for the target and always inlined.
#undef SEEDNORM_LAMBDA
#define SEEDNORM_LAMBDA HWY_ATTR __attribute__((always_inline))

// Calls f(0) .. f(kCount - 1), the index a compile-time constant: arrays indexed by it can live in registers,
// which compilers do not grant to arrays in loops that they unroll late.
template <int kCount, class F, int... kIndex>
HWY_INLINE void unroll_sequence(F&& f, std::integer_sequence<int, kIndex...>) {
  (f(std::integral_constant<int, kIndex>()), ...);
}
template <int kCount, class F>
HWY_INLINE void unroll(F&& f) {
  unroll_sequence<kCount>(f, std::make_integer_sequence<int, kCount>());
}

// Calls f(k) for each vector of a unit.
template <class T, class F>
HWY_INLINE void for_vecs(F&& f) {
  unroll<kVecs<T>>(f);
}

template <class T>
HWY_INLINE Unit<T> set_unit(Acc<T> value) {
  Unit<T> u;
  for (int k = 0; k < kVecs<T>; ++k) u.v[k] = hn::Set(Tag<T>(), value);
  return u;
}
template <class T>
HWY_INLINE Unit<T> zero_unit() {
  return set_unit<T>(0);
}

// Two vectors of neighbouring columns -> unit order.
template <class T>
HWY_INLINE Unit<T> split_even_odd(V<T> lo, V<T> hi) {
  Unit<T> u;
  u.v[0] = lo;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (kVecs<T> == 2) {
    u.v[0] = hn::ConcatEven(Tag<T>(), hi, lo);
    u.v[1] = hn::ConcatOdd(Tag<T>(), hi, lo);
  }
#endif
  (void)hi;
  return u;
}

// An array of the accumulation type in natural column order -> unit order.
template <class T>
HWY_INLINE Unit<T> load_natural(const Acc<T>* HWY_RESTRICT p) {
  const Tag<T> d;
  if constexpr (kVecs<T> == 1) {
    return {{hn::LoadU(d, p)}};
  } else {
    return split_even_odd<T>(hn::LoadU(d, p), hn::LoadU(d, p + hn::Lanes(d)));
  }
}

// Arrays that are already in unit order (partial sums, expanded coefficients).
template <class T>
HWY_INLINE Unit<T> load_unit_order(const Acc<T>* HWY_RESTRICT p) {
  const Tag<T> d;
  Unit<T> u;
  for (int k = 0; k < kVecs<T>; ++k) u.v[k] = hn::LoadU(d, p + k * hn::Lanes(d));
  return u;
}
template <class T>
HWY_INLINE void store_unit_order(const Unit<T>& u, Acc<T>* HWY_RESTRICT p) {
  const Tag<T> d;
  for (int k = 0; k < kVecs<T>; ++k) hn::StoreU(u.v[k], d, p + k * hn::Lanes(d));
}
// Natural column of position `pos` of a row in unit order.
template <class T>
HWY_INLINE size_t natural_column(size_t pos) {
  if constexpr (kVecs<T> == 1) return pos;
  const size_t lanes = hn::Lanes(Tag<T>());
  const size_t base = pos / (2 * lanes) * (2 * lanes);
  const size_t in = pos - base;
  return base + (in < lanes ? 2 * in : 2 * (in - lanes) + 1);
}
// The position of natural column `col` in unit order.
template <class T>
HWY_INLINE size_t unit_position(size_t col) {
  if constexpr (kVecs<T> == 1) return col;
  const size_t lanes = hn::Lanes(Tag<T>());
  const size_t in = col % (2 * lanes);
  return col - in + in / 2 + (in % 2) * lanes;
}

// ------------------------------------------------------------------ float32, float64
template <class T, std::enable_if_t<std::is_floating_point_v<T>, int> = 0>
HWY_INLINE Unit<T> load_unit(const T* HWY_RESTRICT p) {
  return {{hn::LoadU(Tag<T>(), p)}};
}
template <class T, std::enable_if_t<std::is_floating_point_v<T>, int> = 0>
HWY_INLINE void store_unit(const Unit<T>& u, T* HWY_RESTRICT p) {
  hn::StoreU(u.v[0], Tag<T>(), p);
}
template <class T, std::enable_if_t<std::is_floating_point_v<T>, int> = 0>
HWY_INLINE void stream_unit(const Unit<T>& u, T* HWY_RESTRICT p) {
  hn::Stream(u.v[0], Tag<T>(), p);
}

// ------------------------------------------------------------------ bfloat16
// Bits of the nearest bfloat16 (ties to even) in the upper half of each 32-bit lane; the lower half is
// meaningless. Rounding adds 0x7FFF, or 0x8000 if the last kept bit is odd. That would turn a NaN with bits
// in the lower half into another number, but no such NaN gets here: NaNs come from bfloat16 data, whose lower
// half is zero, from parameters, which are made canonical when they are staged, or from an operation, whose
// NaN is the canonical one. A test for it would cost a quarter of the store.
template <class D, class VF = hn::Vec<D>>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> round_to_bfloat16(D, VF v) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, v);
#if HWY_TARGET <= HWY_AVX3  // a single test, into a mask register
  const auto odd = hn::TestBit(bits, hn::Set(du, 0x10000u));
  return hn::Add(bits, hn::IfThenElse(odd, hn::Set(du, 0x8000u), hn::Set(du, 0x7FFFu)));
#else
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  return hn::Add(hn::Add(bits, hn::Set(du, 0x7FFFu)), odd);
#endif
}

template <class T, std::enable_if_t<std::is_same_v<T, BFloat16>, int> = 0>
HWY_INLINE Unit<T> load_unit(const T* HWY_RESTRICT p) {
  const Tag<T> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  Unit<T> u;
#if HWY_TARGET == HWY_SCALAR
  u.v[0] = hn::BitCast(d, hn::Set(du, static_cast<uint32_t>(p->bits) << 16));
#else
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const auto pairs = hn::BitCast(du, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
  u.v[0] = hn::BitCast(d, hn::ShiftLeft<16>(pairs));
  u.v[1] = hn::BitCast(d, hn::And(pairs, hn::Set(du, 0xFFFF0000u)));
#endif
  return u;
}
#if HWY_TARGET != HWY_SCALAR
HWY_INLINE auto pack_bfloat16(const Unit<BFloat16>& u) {
  const Tag<BFloat16> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const auto even = hn::ShiftRight<16>(round_to_bfloat16(d, u.v[0]));
  const auto odd = hn::And(round_to_bfloat16(d, u.v[1]), hn::Set(du, 0xFFFF0000u));
  return hn::BitCast(d16, hn::Or(even, odd));
}
#endif
template <class T, std::enable_if_t<std::is_same_v<T, BFloat16>, int> = 0>
HWY_INLINE void store_unit(const Unit<T>& u, T* HWY_RESTRICT p) {
#if HWY_TARGET == HWY_SCALAR
  p->bits = static_cast<uint16_t>(hn::GetLane(round_to_bfloat16(Tag<T>(), u.v[0])) >> 16);
#else
  const hn::Repartition<uint16_t, Tag<T>> d16;
  hn::StoreU(pack_bfloat16(u), d16, reinterpret_cast<uint16_t*>(p));
#endif
}
template <class T, std::enable_if_t<std::is_same_v<T, BFloat16>, int> = 0>
HWY_INLINE void stream_unit(const Unit<T>& u, T* HWY_RESTRICT p) {
#if HWY_TARGET == HWY_SCALAR
  store_unit(u, p);
#else
  const hn::Repartition<uint16_t, Tag<T>> d16;
  hn::Stream(pack_bfloat16(u), d16, reinterpret_cast<uint16_t*>(p));
#endif
}

// ------------------------------------------------------------------ float16
// For targets with conversion instructions (F16C is part of Highway's AVX2); the others use
// core/kernel/half.h.
#undef SEEDNORM_HAVE_F16
#undef SEEDNORM_F16_INLINE
#if HWY_TARGET <= HWY_AVX2 || (HWY_ARCH_ARM && HWY_TARGET != HWY_SCALAR)
#define SEEDNORM_HAVE_F16 1
#else
#define SEEDNORM_HAVE_F16 0
#endif

#if SEEDNORM_HAVE_F16
#define SEEDNORM_F16_INLINE HWY_INLINE
#else
#define SEEDNORM_F16_INLINE HWY_NOINLINE
#endif

template <class T, std::enable_if_t<std::is_same_v<T, Float16>, int> = 0>
SEEDNORM_F16_INLINE Unit<T> load_unit(const T* HWY_RESTRICT p) {
  const Tag<T> d;
#if SEEDNORM_HAVE_F16
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  return {{hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p)))}};
#else
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
  for (size_t i = 0; i < hn::Lanes(d); ++i) buffer[i] = half_to_float(p[i].bits);
  return {{hn::Load(d, buffer)}};
#endif
}
template <class T, std::enable_if_t<std::is_same_v<T, Float16>, int> = 0>
SEEDNORM_F16_INLINE void store_unit(const Unit<T>& u, T* HWY_RESTRICT p) {
  const Tag<T> d;
#if SEEDNORM_HAVE_F16
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  hn::StoreU(hn::DemoteTo(d16, u.v[0]), d16, reinterpret_cast<hwy::float16_t*>(p));
#else
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(u.v[0], d, buffer);
  for (size_t i = 0; i < hn::Lanes(d); ++i) p[i].bits = float_to_half(buffer[i]);
#endif
}
template <class T, std::enable_if_t<std::is_same_v<T, Float16>, int> = 0>
HWY_INLINE void stream_unit(const Unit<T>& u, T* HWY_RESTRICT p) {
#if SEEDNORM_HAVE_F16
  const hn::Rebind<hwy::float16_t, Tag<T>> d16;
  hn::Stream(hn::DemoteTo(d16, u.v[0]), d16, reinterpret_cast<hwy::float16_t*>(p));
#else
  store_unit(u, p);
#endif
}

// ------------------------------------------------------------------ partial units
// The first n < unit_cols() columns; missing lanes read as zero and are not written.
template <class T>
HWY_INLINE Unit<T> load_partial(const T* HWY_RESTRICT p, size_t n) {
#if HWY_TARGET <= HWY_AVX2  // masked loads that do not touch memory outside the mask
  if constexpr (std::is_floating_point_v<T>) {
    const Tag<T> d;
    return {{hn::MaskedLoad(hn::FirstN(d, n), d, p)}};
  }
#endif
#if HWY_TARGET <= HWY_AVX3
  if constexpr (std::is_same_v<T, BFloat16>) {
    const Tag<T> d;
    const hn::RebindToUnsigned<decltype(d)> du;
    const hn::Repartition<uint16_t, decltype(d)> d16;
    const auto pairs =
        hn::BitCast(du, hn::MaskedLoad(hn::FirstN(d16, n), d16, reinterpret_cast<const uint16_t*>(p)));
    Unit<T> u;
    u.v[0] = hn::BitCast(d, hn::ShiftLeft<16>(pairs));
    u.v[kVecs<T> - 1] = hn::BitCast(d, hn::And(pairs, hn::Set(du, 0xFFFF0000u)));
    return u;
  }
#endif
  alignas(64) T buffer[kMaxUnit] = {};
  std::memcpy(buffer, p, n * sizeof(T));
  return load_unit(buffer);
}

template <class T>
HWY_INLINE void store_partial(const Unit<T>& u, T* HWY_RESTRICT p, size_t n) {
#if HWY_TARGET <= HWY_AVX2
  if constexpr (std::is_floating_point_v<T>) {
    const Tag<T> d;
    hn::BlendedStore(u.v[0], hn::FirstN(d, n), d, p);
    return;
  }
#endif
  alignas(64) T buffer[kMaxUnit];
  store_unit(u, buffer);
  std::memcpy(p, buffer, n * sizeof(T));
}

// Lanes that hold columns below n keep their value, the others become zero.
template <class T>
HWY_INLINE Unit<T> keep_first(const Unit<T>& u, size_t n) {
  const Tag<T> d;
  Unit<T> out;
  if constexpr (kVecs<T> == 1) {
    out.v[0] = hn::IfThenElseZero(hn::FirstN(d, n), u.v[0]);
  } else {
    out.v[0] = hn::IfThenElseZero(hn::FirstN(d, (n + 1) / 2), u.v[0]);
    out.v[1] = hn::IfThenElseZero(hn::FirstN(d, n / 2), u.v[1]);
  }
  return out;
}

// Rounds u to T and converts back.
template <class T>
HWY_INLINE Unit<T> round_to_storage(const Unit<T>& u) {
  [[maybe_unused]] const Tag<T> d;
  if constexpr (std::is_floating_point_v<T>) {
    return u;
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    const hn::RebindToUnsigned<decltype(d)> du;
    Unit<T> out;
    for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      out.v[k] = hn::BitCast(d, hn::And(round_to_bfloat16(d, u.v[k]), hn::Set(du, 0xFFFF0000u)));
    });
    return out;
  } else {
#if SEEDNORM_HAVE_F16
    const hn::Rebind<hwy::float16_t, decltype(d)> d16;
    return {{hn::PromoteTo(d, hn::DemoteTo(d16, u.v[0]))}};
#else
    alignas(64) T buffer[kMaxUnit];
    store_unit(u, buffer);
    return load_unit(buffer);
#endif
  }
}

// ------------------------------------------------------------------ parameters
// A parameter in the dtype P, in T's unit order.
template <class T, class P>
HWY_INLINE Unit<T> load_param_as(const P* HWY_RESTRICT p) {
  if constexpr (std::is_same_v<P, Acc<T>>) {
    return load_natural<T>(p);
  } else if constexpr (kVecs<P> == kVecs<T>) {
    const Unit<P> u = load_unit(p);
    Unit<T> out;
    for (int k = 0; k < kVecs<T>; ++k) out.v[k] = u.v[k];
    return out;
  } else if constexpr (kVecs<T> == 2) {  // float16 parameters beside bfloat16 data
    const Tag<T> d;
    return split_even_odd<T>(load_unit(p).v[0], load_unit(p + hn::Lanes(d)).v[0]);
  } else {  // bfloat16 parameters beside one-vector data: half a unit of them
    const Tag<T> d;
    alignas(64) float buffer[kMaxUnit];
    for (size_t i = 0; i < hn::Lanes(d); ++i) buffer[i] = bfloat16_to_float(p[i].bits);
    return {{hn::LoadU(d, buffer)}};
  }
}

// Makes any NaN the canonical one; see round_to_bfloat16.
template <class A>
HWY_INLINE A canonical(A value) {
  return value == value ? value : std::numeric_limits<A>::quiet_NaN();
}
template <class D, class VF>
HWY_INLINE VF canonical(D d, VF v) {
  return hn::IfThenElse(hn::Eq(v, v), v, hn::Set(d, std::numeric_limits<hn::TFromD<D>>::quiet_NaN()));
}

// Writes value(i) = offset + data[i & mask] (or the constant) of all D columns to `out` in unit order, zero
// up to the end of the last unit.
template <class T, class P>
HWY_INLINE void stage_as(const P* data, Acc<T> offset, size_t dim, Acc<T>* HWY_RESTRICT out) {
  const size_t unit = unit_cols<T>();
  const Unit<T> add = set_unit<T>(offset);
  size_t c = 0;
  for (; c + unit <= dim; c += unit) {
    Unit<T> u = load_param_as<T>(data + c);
    for (int k = 0; k < kVecs<T>; ++k) u.v[k] = canonical(Tag<T>(), hn::Add(u.v[k], add.v[k]));
    store_unit_order(u, out + c);
  }
  if (c == dim) return;
  for (size_t pos = c; pos < c + unit; ++pos) {
    const size_t col = natural_column<T>(pos);
    out[pos] = col < dim ? canonical(static_cast<Acc<T>>(load_scalar(data, DTypeOf<P>::value, col)) + offset)
                         : Acc<T>{0};
  }
}
template <class T>
HWY_NOINLINE void stage_param(const ParamRef& ref, size_t dim, Acc<T>* HWY_RESTRICT out) {
  const Acc<T> offset = static_cast<Acc<T>>(ref.offset);
  if (ref.data == nullptr || ref.mask == 0) {
    const double value =
        ref.data == nullptr ? ref.constant : ref.offset + load_scalar(ref.data, ref.dtype, 0);
    const size_t unit = unit_cols<T>();
    for (size_t c = 0; c < dim; c += unit)
      store_unit_order(set_unit<T>(canonical(static_cast<Acc<T>>(value))), out + c);
  } else if constexpr (std::is_same_v<T, double>) {
    stage_as<T>(static_cast<const double*>(ref.data), offset, dim, out);
  } else {
    switch (ref.dtype) {
      case DType::kBFloat16:
        stage_as<T>(static_cast<const BFloat16*>(ref.data), offset, dim, out);
        break;
      case DType::kFloat16:
        stage_as<T>(static_cast<const Float16*>(ref.data), offset, dim, out);
        break;
      default:
        stage_as<T>(static_cast<const float*>(ref.data), offset, dim, out);
        break;
    }
  }
}

// Up to kCount parameters of a norm as the loops read them: the accumulation type, unit order, padded to
// whole units. A float32 vector with float32 data of whole units is used in place; all others are converted
// once per task (a task has many rows). Up to width 8192 / kCount nothing is allocated.
template <class T, int kCount>
class Staged {
 public:
  using A = Acc<T>;

  explicit Staged(int64_t dim) : dim_(dim), padded_(unit_padded(dim)) {}

  const A* get(const ParamRef& ref, int slot) {
    const bool direct = kVecs<T> == 1 && ref.data != nullptr && ref.mask != 0 && ref.offset == 0 &&
                        ref.dtype == DTypeOf<A>::value && dim_ % unit_cols<T>() == 0;
    if (direct) return static_cast<const A*>(ref.data);
    if (padded_ * kCount > kStackElements && !heap_) heap_.reset(new A[padded_ * kCount]);
    A* out = (heap_ ? heap_.get() : stack_) + slot * padded_;
    stage_param<T>(ref, dim_, out);
    return out;
  }

 private:
  static constexpr size_t kStackElements = 32768 / sizeof(A);
  const size_t dim_;
  const size_t padded_;
  std::unique_ptr<A[]> heap_;
  alignas(64) A stack_[kStackElements];
};

// ------------------------------------------------------------------ sums over lanes
// Vectors are halved and added, in the same order for every number of rows and every Highway version.
#if HWY_TARGET == HWY_SCALAR
template <class D, class VF = hn::Vec<D>>
HWY_INLINE hn::TFromD<D> sum_lanes(D, VF v) {
  return hn::GetLane(v);
}
#else
template <class D, class VF = hn::Vec<D>>
HWY_INLINE hn::TFromD<D> sum_lanes([[maybe_unused]] D d, VF v) {
  using A = hn::TFromD<D>;
  if constexpr (hn::MaxLanes(D()) * sizeof(A) > 16) {
    const hn::Half<D> dh;
    return sum_lanes(dh, hn::Add(hn::LowerHalf(dh, v), hn::UpperHalf(dh, v)));
  } else if constexpr (sizeof(A) == 8) {
    return hn::GetLane(hn::Add(v, hn::Shuffle01(v)));
  } else {
    v = hn::Add(v, hn::Shuffle1032(v));
    return hn::GetLane(hn::Add(v, hn::Shuffle2301(v)));
  }
}
#endif

// The lane sums of a block's four rows in one vector, each summed in sum_lanes' order.
#if HWY_TARGET != HWY_SCALAR
using Tag4 = hn::FixedTag<float, 4>;
using V4 = hn::Vec<Tag4>;

template <class D, class VF = hn::Vec<D>>
HWY_INLINE V4 fold_to_four([[maybe_unused]] D d, VF v) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> dh;
    return fold_to_four(dh, hn::Add(hn::LowerHalf(dh, v), hn::UpperHalf(dh, v)));
  } else {
    return v;
  }
}
template <class D, class VF = hn::Vec<D>>
HWY_INLINE V4 sum_four(D d, VF row0, VF row1, VF row2, VF row3) {
  const Tag4 d4;
  const auto pairs = [&](VF p, VF q) SEEDNORM_LAMBDA {  // p0 + p2, q0 + q2, p1 + p3, q1 + q3
    const V4 a = fold_to_four(d, p), b = fold_to_four(d, q);
    return hn::Add(hn::InterleaveLower(d4, a, b), hn::InterleaveUpper(d4, a, b));
  };
  const V4 ab = pairs(row0, row1), cd = pairs(row2, row3);
  return hn::Add(hn::ConcatLowerLower(d4, cd, ab), hn::ConcatUpperUpper(d4, cd, ab));
}
#endif

// out[i] = lane sum of of(i), for R rows.
template <class T, int R, class Of>
HWY_INLINE void sum_rows(Of of, Acc<T>* out) {
  const Tag<T> d;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (R == 4 && std::is_same_v<Acc<T>, float>) {
    hn::StoreU(sum_four(d, of(0), of(1), of(2), of(3)), Tag4(), out);
    return;
  }
#endif
  for (int i = 0; i < R; ++i) out[i] = sum_lanes(d, of(i));
}

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_LANES_INL_H_
