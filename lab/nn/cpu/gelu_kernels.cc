#include "lab/nn/cpu/gelu_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lab/nn/cpu/gelu_kernels.cc"
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on

#include <vector>

#include "core/cpu/lanes-inl.h"
#include "core/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace seednorm::lab::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace sn = seednorm::HWY_NAMESPACE;

// At x: the factor of x in gelu(x), and the derivative of gelu.
template <class V>
struct Point {
  V share, slope;
};

template <Gelu kKind>
struct Curve;

// Phi(x), and Phi(x) + x phi(x) with the density phi(x) = exp(-x^2 / 2) / sqrt(2 pi). In float32 both come from one
// exponential: with t = 1 / (1 + p |z|), 1 - erf(|z|) = (a1 t + ... + a5 t^5) exp(-z^2) up to 1.5e-7 (Abramowitz and
// Stegun, 7.1.26), at z = x / sqrt(2).
template <>
struct Curve<Gelu::kExact> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Point<V> at(D d, V x) {
    const auto half = hn::Set(d, 0.5), density = hn::Set(d, 0.3989422804014327);  // 1 / sqrt(2 pi)
    const V z = hn::Mul(x, hn::Set(d, 0.7071067811865476));
    if constexpr (sn::kIsDouble<D>) {
      const V share = hn::MulAdd(half, sn::erf(d, z), half);
      return {share, hn::MulAdd(x, hn::Mul(sn::gauss(d, z), density), share)};
    } else {
      const V bell = sn::exp_minus_abs(d, hn::Mul(z, z));
      const V t = hn::Div(hn::Set(d, 1), hn::MulAdd(hn::Set(d, 0.3275911), hn::Abs(z), hn::Set(d, 1)));
      V tail = hn::MulAdd(hn::Set(d, 1.061405429), t, hn::Set(d, -1.453152027));
      tail = hn::MulAdd(tail, t, hn::Set(d, 1.421413741));
      tail = hn::MulAdd(tail, t, hn::Set(d, -0.284496736));
      tail = hn::MulAdd(tail, t, hn::Set(d, 0.254829592));
      const V rest = hn::Mul(hn::Mul(half, t), hn::Mul(tail, bell));  // Phi(-|x|)
      const V share = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), rest, hn::Sub(hn::Set(d, 1), rest));
      return {share, hn::MulAdd(x, hn::Mul(bell, density), share)};
    }
  }
};

// s = (1 + tanh(z)) / 2 with z = sqrt(2 / pi) (x + 0.044715 x^3), and s + x s' with s' = 2 s (1 - s) z'.
template <>
struct Curve<Gelu::kTanh> {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE Point<V> at(D d, V x) {
    const auto half = hn::Set(d, 0.5), one = hn::Set(d, 1), root = hn::Set(d, 0.7978845608028654);
    const V cubic = hn::Mul(hn::Mul(x, x), hn::Set(d, 0.044715));
    const V z = hn::Mul(hn::Mul(x, root), hn::Add(cubic, one));
    const V share = hn::MulAdd(half, sn::tanh(d, z), half);
    const V inner = hn::Mul(root, hn::MulAdd(cubic, hn::Set(d, 3), one));
    const V steep = hn::Mul(hn::Mul(hn::Add(share, share), hn::Sub(one, share)), inner);
    return {share, hn::MulAdd(x, steep, share)};
  }
};

template <class T, Gelu kKind>
HWY_NOINLINE void forward_typed(const GeluArgs& a) {
  const sn::Tag<T> d;
  const auto width = static_cast<size_t>(a.width), unit = sn::unit_cols<T>();
  for (int64_t row = 0; row < a.rows; ++row) {
    T* const in = static_cast<T*>(a.in) + row * a.width;
    T* const out = static_cast<T*>(a.out) + row * a.width;
    const T* const bias = static_cast<const T*>(a.bias);
    const auto run = [&](sn::Unit<T> x, const sn::Unit<T>& b, auto store) SEEDNORM_LAMBDA {
      sn::for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { x.v[k] = hn::Add(x.v[k], b.v[k]); });
      store(x, in);
      sn::for_vecs<T>([&](auto k)
                          SEEDNORM_LAMBDA { x.v[k] = hn::Mul(x.v[k], Curve<kKind>::at(d, x.v[k]).share); });
      store(x, out);
    };
    size_t c = 0;
    for (; c + unit <= width; c += unit) {
      run(sn::load_unit(in + c), sn::load_unit(bias + c),
          [&](const sn::Unit<T>& u, T* to) SEEDNORM_LAMBDA { sn::store_unit(u, to + c); });
    }
    if (c < width) {
      run(sn::load_partial(in + c, width - c), sn::load_partial(bias + c, width - c),
          [&](const sn::Unit<T>& u, T* to) SEEDNORM_LAMBDA { sn::store_partial(u, to + c, width - c); });
    }
  }
}

template <class T, Gelu kKind>
HWY_NOINLINE void gradient_typed(const GeluGradientArgs& a) {
  using A = sn::Acc<T>;
  const sn::Tag<T> d;
  const auto width = static_cast<size_t>(a.width), unit = sn::unit_cols<T>();
  // Sums of the gradient's columns, each unit in its own order.
  std::vector<A> sums(round_up(width, unit));
  for (int64_t row = 0; row < a.rows; ++row) {
    const T* const in = static_cast<const T*>(a.in) + row * a.width;
    T* const gradient = static_cast<T*>(a.gradient) + row * a.width;
    T* const out = static_cast<T*>(a.out) + row * a.width;
    const auto run = [&](size_t c, sn::Unit<T> x, sn::Unit<T> dy, auto store) SEEDNORM_LAMBDA {
      sn::Unit<T> sum = sn::load_unit_order<T>(sums.data() + c);
      sn::for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
        const auto point = Curve<kKind>::at(d, x.v[k]);
        x.v[k] = hn::Mul(x.v[k], point.share);
        dy.v[k] = hn::Mul(dy.v[k], point.slope);
        sum.v[k] = hn::Add(sum.v[k], dy.v[k]);
      });
      sn::store_unit_order(sum, sums.data() + c);
      store(x, out + c);
      store(dy, gradient + c);
    };
    size_t c = 0;
    for (; c + unit <= width; c += unit) {
      run(c, sn::load_unit(in + c), sn::load_unit(gradient + c),
          [](const sn::Unit<T>& u, T* to) SEEDNORM_LAMBDA { sn::store_unit(u, to); });
    }
    if (c < width) {
      const size_t left = width - c;
      run(c, sn::load_partial(in + c, left), sn::load_partial(gradient + c, left),
          [left](const sn::Unit<T>& u, T* to) SEEDNORM_LAMBDA { sn::store_partial(u, to, left); });
    }
  }
  for (size_t c = 0; c < width; ++c) static_cast<A*>(a.dbias)[c] += sums[sn::unit_position<T>(c)];
}

template <class T>
void forward_kind(const GeluArgs& args) {
  args.kind == Gelu::kExact ? forward_typed<T, Gelu::kExact>(args) : forward_typed<T, Gelu::kTanh>(args);
}
template <class T>
void gradient_kind(const GeluGradientArgs& args) {
  args.kind == Gelu::kExact ? gradient_typed<T, Gelu::kExact>(args) : gradient_typed<T, Gelu::kTanh>(args);
}

void forward(const GeluArgs& args) {
  if (args.dtype == DType::kFloat64) return forward_kind<double>(args);
  if (args.dtype == DType::kFloat32) return forward_kind<float>(args);
  forward_kind<BFloat16>(args);
}
void gradient(const GeluGradientArgs& args) {
  if (args.dtype == DType::kFloat64) return gradient_kind<double>(args);
  if (args.dtype == DType::kFloat32) return gradient_kind<float>(args);
  gradient_kind<BFloat16>(args);
}

}  // namespace seednorm::lab::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seednorm::lab {

HWY_EXPORT(forward);
HWY_EXPORT(gradient);

void gelu_rows(const GeluArgs& args) { HWY_DYNAMIC_DISPATCH(forward)(args); }
void gelu_gradient_rows(const GeluGradientArgs& args) { HWY_DYNAMIC_DISPATCH(gradient)(args); }

}  // namespace seednorm::lab
#endif  // HWY_ONCE
