// Elementwise functions: the activations sigma with their derivatives, as in core/cpu/math-inl.h. exp, tanh
// and erf are the platform's (CUDA's have errors of 1 and 2 ULP in float32): NaN gives NaN, infinities the
// limits.
#ifndef SEEDNORM_CORE_CUDA_MATH_CUH_
#define SEEDNORM_CORE_CUDA_MATH_CUH_

#include "core/cuda/device.cuh"

namespace seednorm::cuda {

// sech^2(x) = 4 e / (1 + e)^2 with e = exp(-2 |x|): 1 - tanh^2 would lose all digits near saturation.
template <class A>
SEEDNORM_DEVICE A sech_squared(A x) {
  const A e = std::exp(-2 * std::abs(x));
  return 4 * e / ((1 + e) * (1 + e));
}

// 1 / (1 + exp(-x)), without overflow on either side.
template <class A>
SEEDNORM_DEVICE A sigmoid(A x) {
  const A e = std::exp(-std::abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}
template <class A>
SEEDNORM_DEVICE A sigmoid_slope(A x) {
  const A e = std::exp(-std::abs(x));
  return e / ((1 + e) * (1 + e));
}

// exp(-x^2). The square's rounding error, which would be multiplied by x^2, is split off; beyond 1e4
// (float64: 1e154) the result has long been zero, and the square must not overflow.
template <class A>
SEEDNORM_DEVICE A gauss(A x) {
  constexpr A kLimit = sizeof(A) == 8 ? static_cast<A>(1e150) : static_cast<A>(1e4);
  const A c = x > kLimit ? kLimit : x < -kLimit ? -kLimit : x;  // NaN stays
  const A square = c * c;
  const A e = std::exp(-square);
  return std::fma(-e, std::fma(c, c, -square), e);
}

template <class A>
constexpr A kSqrtHalf = static_cast<A>(0.70710678118654752);

template <class A>
SEEDNORM_DEVICE A normal_cdf(A z) {
  return static_cast<A>(0.5) * (1 + std::erf(z * kSqrtHalf<A>));
}

// The paper's activation is inlined; the others are called, to keep them out of the inner loops.
template <class A>
__device__ __attribute__((noinline)) A other_sigma_value(Sigma sigma, A z) {
  switch (sigma) {
    case Sigma::kSigmoid:
      return sigmoid(z);
    case Sigma::kHardtanh:
      return z < -1 ? -1 : z > 1 ? 1 : z;
    case Sigma::kSoftsign:  // from 2^55 on it rounds to 1, and infinity must not divide itself
      return std::abs(z) > static_cast<A>(1e18) ? std::copysign(A{1}, z) : z / (1 + std::abs(z));
    case Sigma::kGelu:
      return z * normal_cdf(z);
    case Sigma::kSilu:
      return z * sigmoid(z);
    default:
      return z;
  }
}
template <class A>
__device__ __attribute__((noinline)) A other_sigma_slope(Sigma sigma, A z) {
  switch (sigma) {
    case Sigma::kSigmoid:
      return sigmoid_slope(z);
    case Sigma::kHardtanh:
      return z == z ? (std::abs(z) < 1 ? 1 : 0) : z;
    case Sigma::kSoftsign:
      return 1 / (1 + std::abs(z)) / (1 + std::abs(z));
    case Sigma::kGelu:  // Phi(z) + z phi(z)
      return std::fma(z * static_cast<A>(0.39894228040143268), gauss(z * kSqrtHalf<A>), normal_cdf(z));
    case Sigma::kSilu:
      return std::fma(z, sigmoid_slope(z), sigmoid(z));
    default:
      return 1;
  }
}
template <class A>
SEEDNORM_DEVICE A sigma_value(Sigma sigma, A z) {
  return sigma == Sigma::kTanh ? std::tanh(z) : other_sigma_value(sigma, z);
}
template <class A>
SEEDNORM_DEVICE A sigma_slope(Sigma sigma, A z) {
  return sigma == Sigma::kTanh ? sech_squared(z) : other_sigma_slope(sigma, z);
}

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_MATH_CUH_
