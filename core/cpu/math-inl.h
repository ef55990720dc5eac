// Elementwise functions: tanh, erf, exp and the activations sigma with their derivatives.
//
// float: Highway's exp (<= 1 ULP on all float32 inputs) and the tanh and erf below; float64, which is for
// checks, calls the C library lane by lane. NaN gives NaN; infinities give the limits.
#if defined(SEEDNORM_CORE_CPU_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDNORM_CORE_CPU_MATH_INL_H_
#undef SEEDNORM_CORE_CPU_MATH_INL_H_
#else
#define SEEDNORM_CORE_CPU_MATH_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>

#include <cmath>

#include "core/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm {
namespace HWY_NAMESPACE {

template <class D>
constexpr bool kIsDouble = std::is_same_v<hn::TFromD<D>, double>;

// Applies f to every lane.
template <class D, class VF = hn::Vec<D>, class F>
HWY_INLINE VF each_lane(D d, VF v, F f) {
  HWY_ALIGN hn::TFromD<D> lane[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)];
  hn::Store(v, d, lane);
  for (size_t i = 0; i < hn::Lanes(d); ++i) lane[i] = f(lane[i]);
  return hn::Load(d, lane);
}

// NaN if x is NaN, for which Highway's functions do not define the result.
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF keep_nan(D, VF x, VF result) {
  return hn::IfThenElse(hn::Eq(x, x), result, x);
}

// exp(-|x|), in (0, 1]. Beyond 104 it is zero in float32.
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF exp_minus_abs(D d, VF x) {
  if constexpr (kIsDouble<D>) {
    return each_lane(d, x, [](double v) { return std::exp(-std::abs(v)); });
  } else {
    const VF limit = hn::Set(d, 104.0f);
    const VF magnitude = hn::Min(hn::Abs(x), limit);
    return keep_nan(d, x, hn::Exp(d, hn::Neg(magnitude)));
  }
}

// <= 1.5 ULP: an odd polynomial up to 0.625 (Cephes' tanhf), and 1 - 2 e / (1 + e) above, with the
// e = exp(-2 |x|) of sech_squared, so that where both are needed the compiler computes it once.
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF tanh(D d, VF x) {
  if constexpr (kIsDouble<D>) {
    return each_lane(d, x, [](double v) { return std::tanh(v); });
  } else {
    const VF magnitude = hn::Abs(x), one = hn::Set(d, 1.0f);
    const VF e = exp_minus_abs(d, hn::Add(x, x));
    const VF far = hn::Sub(one, hn::Div(hn::Add(e, e), hn::Add(one, e)));
    const VF s = hn::Mul(x, x);
    VF p = hn::MulAdd(hn::Set(d, -5.70498872745e-3f), s, hn::Set(d, 2.06390887954e-2f));
    p = hn::MulAdd(p, s, hn::Set(d, -5.37397155531e-2f));
    p = hn::MulAdd(p, s, hn::Set(d, 1.33314422036e-1f));
    p = hn::MulAdd(p, s, hn::Set(d, -3.33332819422e-1f));
    const VF near = hn::MulAdd(hn::Mul(magnitude, s), p, magnitude);
    return hn::CopySign(hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0.625f)), near, far), x);
  }
}

// sech^2(x) = 4 e / (1 + e)^2 with e = exp(-2 |x|): 1 - tanh^2 would lose all digits near saturation.
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF sech_squared(D d, VF x) {
  const VF e = exp_minus_abs(d, hn::Add(x, x));
  const VF one_plus = hn::Add(hn::Set(d, 1), e);
  return hn::Div(hn::Mul(hn::Set(d, 4), e), hn::Mul(one_plus, one_plus));
}

// 1 / (1 + exp(-x)), without overflow on either side.
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF sigmoid(D d, VF x) {
  const VF one = hn::Set(d, 1);
  const VF e = exp_minus_abs(d, x);
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}
// e / (1 + e)^2 with e = exp(-|x|).
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF sigmoid_slope(D d, VF x) {
  const VF e = exp_minus_abs(d, x);
  const VF one_plus = hn::Add(hn::Set(d, 1), e);
  return hn::Div(e, hn::Mul(one_plus, one_plus));
}

// erf, <= 2 ULP: an odd polynomial up to 0.9277, 1 - exp(polynomial) above (N. Juffa's minimax fits).
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF erf(D d, VF x) {
  if constexpr (kIsDouble<D>) {
    return each_lane(d, x, [](double v) { return std::erf(v); });
  } else {
    const VF t = hn::Abs(x);
    const VF s = hn::Mul(x, x);
    // Far side. At 4 erf already rounds to 1; the limit keeps the polynomial from overflowing.
    const VF f = hn::Min(t, hn::Set(d, 4.0f));
    const VF f2 = hn::Mul(f, f);
    VF r = hn::MulAdd(hn::Set(d, -1.72853470e-5f), f, hn::Set(d, 3.83197126e-4f));
    const VF u = hn::MulAdd(hn::Set(d, -3.88396438e-3f), f, hn::Set(d, 2.42546219e-2f));
    r = hn::MulAdd(r, f2, u);
    r = hn::MulAdd(r, f, hn::Set(d, -1.06777877e-1f));
    r = hn::MulAdd(r, f, hn::Set(d, -6.34846687e-1f));
    r = hn::MulAdd(r, f, hn::Set(d, -1.28717512e-1f));
    r = hn::MulAdd(r, f, hn::Neg(f));
    const VF far = hn::CopySign(hn::Sub(hn::Set(d, 1.0f), hn::Exp(d, r)), x);
    // Near side.
    VF q = hn::Set(d, -5.96761703e-4f);
    q = hn::MulAdd(q, s, hn::Set(d, 4.99119423e-3f));
    q = hn::MulAdd(q, s, hn::Set(d, -2.67681349e-2f));
    q = hn::MulAdd(q, s, hn::Set(d, 1.12819925e-1f));
    q = hn::MulAdd(q, s, hn::Set(d, -3.76125336e-1f));
    q = hn::MulAdd(q, s, hn::Set(d, 1.28379166e-1f));
    const VF near = hn::MulAdd(q, x, x);
    return keep_nan(d, x, hn::IfThenElse(hn::Gt(t, hn::Set(d, 0.927734375f)), far, near));
  }
}

// exp(-x^2).
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF gauss(D d, VF x) {
  if constexpr (kIsDouble<D>) {
    return each_lane(d, x, [](double v) { return std::exp(-v * v); });
  } else {
    // The square's rounding error would be multiplied by x^2: split off with a fused multiply-add.
    const VF limit = hn::Set(d, 1e4f);
    const VF c = hn::Max(hn::Neg(limit), hn::Min(x, limit));
    const VF square = hn::Mul(c, c);
    const VF rest = hn::MulSub(c, c, square);
    const VF e = exp_minus_abs(d, square);
    return keep_nan(d, x, hn::NegMulAdd(e, rest, e));
  }
}

// sigma(z).
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF sigma_value(Sigma sigma, D d, VF z) {
  using A = hn::TFromD<D>;
  const VF one = hn::Set(d, 1);
  switch (sigma) {
    case Sigma::kTanh:
      return tanh(d, z);
    case Sigma::kSigmoid:
      return sigmoid(d, z);
    case Sigma::kHardtanh: {
      const VF below = hn::IfThenElse(hn::Lt(z, hn::Neg(one)), hn::Neg(one), z);
      return hn::IfThenElse(hn::Gt(z, one), one, below);
    }
    case Sigma::kSoftsign: {  // from 2^26 (float64: 2^55) on it rounds to 1, and infinity must not divide
                              // itself
      const VF magnitude = hn::Abs(z);
      const VF huge = hn::Set(d, static_cast<A>(1e18));
      const VF ratio = hn::Div(z, hn::Add(one, magnitude));
      return hn::IfThenElse(hn::Gt(magnitude, huge), hn::CopySign(one, z), ratio);
    }
    case Sigma::kGelu: {
      const VF phi =
          hn::Mul(hn::Set(d, static_cast<A>(0.5)),
                  hn::Add(one, erf(d, hn::Mul(z, hn::Set(d, static_cast<A>(0.70710678118654752))))));
      return hn::Mul(z, phi);
    }
    case Sigma::kSilu:
      return hn::Mul(z, sigmoid(d, z));
    case Sigma::kIdentity:
      return z;
  }
  return z;
}

// sigma'(z).
template <class D, class VF = hn::Vec<D>>
HWY_INLINE VF sigma_slope(Sigma sigma, D d, VF z) {
  using A = hn::TFromD<D>;
  const VF one = hn::Set(d, 1);
  switch (sigma) {
    case Sigma::kTanh:
      return sech_squared(d, z);
    case Sigma::kSigmoid:
      return sigmoid_slope(d, z);
    case Sigma::kHardtanh:
      return keep_nan(d, z, hn::IfThenElseZero(hn::Lt(hn::Abs(z), one), one));
    case Sigma::kSoftsign: {
      const VF one_plus = hn::Add(one, hn::Abs(z));
      return hn::Div(hn::Div(one, one_plus), one_plus);
    }
    case Sigma::kGelu: {  // Phi(z) + z phi(z)
      const VF scaled = hn::Mul(z, hn::Set(d, static_cast<A>(0.70710678118654752)));
      const VF cdf = hn::Mul(hn::Set(d, static_cast<A>(0.5)), hn::Add(one, erf(d, scaled)));
      return hn::MulAdd(hn::Mul(z, hn::Set(d, static_cast<A>(0.39894228040143268))), gauss(d, scaled), cdf);
    }
    case Sigma::kSilu: {  // s + z s'
      return hn::MulAdd(z, sigmoid_slope(d, z), sigmoid(d, z));
    }
    case Sigma::kIdentity:
      return one;
  }
  return one;
}

// A vector loaded 16 bytes at a time: a load may take its bytes from one store that is still under way, but
// not from several, and would have to wait until these and all stores before them are in the cache.
template <class D>
HWY_INLINE hn::Vec<D> load_by_blocks(D d, const hn::TFromD<D>* p) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (hn::MaxLanes(D()) * sizeof(hn::TFromD<D>) > 16) {
    const hn::Half<D> half;
    return hn::Combine(d, load_by_blocks(half, p + hn::Lanes(half)), load_by_blocks(half, p));
  }
#endif
  return hn::LoadU(d, p);
}

// value[i] = sigma(in[i]) and, with kSlope, slope[i] its derivative, for i < n; arrays are padded to whole
// vectors. Tanh, the paper's sigma, has a branch of its own: most of the time between two blocks of rows goes
// into it.
template <bool kSlope, class A>
HWY_NOINLINE void sigma_array(Sigma sigma, const A* in, size_t n, A* value, A* slope = nullptr) {
  const hn::ScalableTag<A> d;
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto z = load_by_blocks(d, in + i);
    const bool is_tanh = sigma == Sigma::kTanh;
    hn::StoreU(is_tanh ? tanh(d, z) : sigma_value(sigma, d, z), d, value + i);
    if constexpr (kSlope) hn::StoreU(is_tanh ? sech_squared(d, z) : sigma_slope(sigma, d, z), d, slope + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace seednorm
HWY_AFTER_NAMESPACE();

#endif  // SEEDNORM_CORE_CPU_MATH_INL_H_
