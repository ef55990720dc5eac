#include "lab/nn/cpu/row_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lab/nn/cpu/row_kernels.cc"
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

// Rows of x and rows of w whose products are summed at once: 16 sums, which with the values of w and one of x
// fit the 32 registers of AVX-512.
constexpr int kTile = 4;
// sums[i * kColumns + j] = x_i . w_j. With kFetch the following rows of w are prefetched meanwhile: if they
// wait for each line, two processors get a fifth (float32) to a third (bfloat16) less from the memory.
template <bool kFetch, class T, int kRows, int kColumns>
HWY_INLINE void dot_tile(const T* HWY_RESTRICT x, const T* HWY_RESTRICT w, size_t dim,
                         float* HWY_RESTRICT sums) {
  using Vec = sn::V<T>;
  const sn::Tag<T> d;
  Vec acc[kRows * kColumns];
  sn::unroll<kRows * kColumns>([&](auto i) SEEDNORM_LAMBDA { acc[i] = hn::Zero(d); });
  const auto add = [&](auto load) SEEDNORM_LAMBDA {
    sn::Unit<T> right[kColumns];
    sn::unroll<kColumns>([&](auto j) SEEDNORM_LAMBDA { right[j] = load(w + j * dim); });
    sn::unroll<kRows>([&](auto i) SEEDNORM_LAMBDA {
      const sn::Unit<T> left = load(x + i * dim);
      sn::unroll<kColumns>([&](auto j) SEEDNORM_LAMBDA {
        constexpr int kAt = i * kColumns + j;
        sn::for_vecs<T>([&](auto k)
                            SEEDNORM_LAMBDA { acc[kAt] = hn::MulAdd(left.v[k], right[j].v[k], acc[kAt]); });
      });
    });
  };
  const size_t unit = sn::unit_cols<T>();
  size_t c = 0;
  for (; c + unit <= dim; c += unit) {
    if constexpr (kFetch) {
      sn::unroll<kColumns>([&](auto j) SEEDNORM_LAMBDA { hwy::Prefetch(w + (kColumns + j) * dim + c); });
    }
    add([&](const T* p) SEEDNORM_LAMBDA { return sn::load_unit(p + c); });
  }
  if (c < dim) add([&](const T* p) SEEDNORM_LAMBDA { return sn::load_partial(p + c, dim - c); });
  sn::unroll<kRows * kColumns>([&](auto i) SEEDNORM_LAMBDA { sums[i] = sn::sum_lanes(d, acc[i]); });
}

// Calls use(row, column, x_row . w_column) for kRows and kColumns of them.
template <class T, int kRows, int kColumns, class Use>
HWY_INLINE void dot_block(const T* x, int64_t row, const T* w, int64_t column, size_t dim, const Use& use) {
  float sums[kRows * kColumns];
  const T* const left = x + static_cast<size_t>(row) * dim;
  const T* const right = w + static_cast<size_t>(column) * dim;
  if (row == 0) {
    dot_tile<true, T, kRows, kColumns>(left, right, dim, sums);
  } else {
    dot_tile<false, T, kRows, kColumns>(left, right, dim, sums);
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) use(row + i, column + j, sums[i * kColumns + j]);
  }
}

// The same for all rows and kColumns columns, and for all rows and begin <= column < end.
template <class T, int kColumns, class Use>
HWY_INLINE void dot_columns(const T* x, int64_t rows, const T* w, int64_t column, size_t dim,
                            const Use& use) {
  int64_t row = 0;
  for (; row + kTile <= rows; row += kTile) dot_block<T, kTile, kColumns>(x, row, w, column, dim, use);
  for (; row < rows; ++row) dot_block<T, 1, kColumns>(x, row, w, column, dim, use);
}
template <class T, class Use>
HWY_INLINE void dot_all(const T* x, int64_t rows, const T* w, size_t dim, int64_t begin, int64_t end,
                        const Use& use) {
  int64_t column = begin;
  for (; column + kTile <= end; column += kTile) dot_columns<T, kTile>(x, rows, w, column, dim, use);
  for (; column < end; ++column) dot_columns<T, 1>(x, rows, w, column, dim, use);
}

HWY_INLINE void put(float* y, float value) { *y = value; }
HWY_INLINE void put(BFloat16* y, float value) { y->bits = float_to_bfloat16(value); }

template <class T>
HWY_NOINLINE void multiply_typed(const ProductArgs& a, int64_t begin, int64_t end) {
  T* const y = static_cast<T*>(a.y);
  dot_all(static_cast<const T*>(a.x), a.rows, static_cast<const T*>(a.w), static_cast<size_t>(a.dim), begin,
          end, [&](int64_t row, int64_t column, float sum) SEEDNORM_LAMBDA {
            put(y + row * a.num_outputs + column, sum);
          });
}

void multiply(const ProductArgs& args, int64_t begin, int64_t end) {
  if (args.dtype == DType::kFloat32) return multiply_typed<float>(args, begin, end);
  multiply_typed<BFloat16>(args, begin, end);
}

template <class T>
HWY_NOINLINE void gate_typed(const GateArgs& a, int64_t begin, int64_t end) {
  const sn::Tag<T> d;
  const T* const gate = static_cast<const T*>(a.gate);
  const T* const up = static_cast<const T*>(a.up);
  T* const out = static_cast<T*>(a.out);
  const auto gated = [&](const sn::Unit<T>& g, const sn::Unit<T>& u) SEEDNORM_LAMBDA {
    sn::Unit<T> y;
    sn::for_vecs<T>(
        [&](auto k) SEEDNORM_LAMBDA { y.v[k] = hn::Mul(hn::Mul(g.v[k], sn::sigmoid(d, g.v[k])), u.v[k]); });
    return y;
  };
  const auto unit = static_cast<int64_t>(sn::unit_cols<T>());
  int64_t i = begin;
  for (; i + unit <= end; i += unit)
    sn::store_unit(gated(sn::load_unit(gate + i), sn::load_unit(up + i)), out + i);
  if (i < end) {
    const auto left = static_cast<size_t>(end - i);
    sn::store_partial(gated(sn::load_partial(gate + i, left), sn::load_partial(up + i, left)), out + i, left);
  }
}

void gate(const GateArgs& args, int64_t begin, int64_t end) {
  if (args.dtype == DType::kFloat32) return gate_typed<float>(args, begin, end);
  gate_typed<BFloat16>(args, begin, end);
}

// silu(g) = g s and silu'(g) = s (1 + g (1 - s)) with s = sigmoid(g); 1 - s = sigmoid(-g) keeps its digits where
// s is near 1.
template <class T>
HWY_NOINLINE void gate_gradients_typed(const GateGradientArgs& a, int64_t begin, int64_t end) {
  const sn::Tag<T> d;
  const auto* const gate = static_cast<const T*>(a.gate);
  const auto* const up = static_cast<const T*>(a.up);
  const auto* const dout = static_cast<const T*>(a.dout);
  auto* const dgate = static_cast<T*>(a.dgate);
  auto* const dup = static_cast<T*>(a.dup);
  const auto one = hn::Set(d, 1);
  const auto gradients = [&](const sn::Unit<T>& g, const sn::Unit<T>& u, const sn::Unit<T>& dy,
                             sn::Unit<T>& dg, sn::Unit<T>& du) SEEDNORM_LAMBDA {
    sn::for_vecs<T>([&](auto k) SEEDNORM_LAMBDA {
      const auto s = sn::sigmoid(d, g.v[k]), rest = sn::sigmoid(d, hn::Neg(g.v[k]));
      const auto slope = hn::Mul(s, hn::MulAdd(g.v[k], rest, one));
      du.v[k] = hn::Mul(hn::Mul(g.v[k], s), dy.v[k]);
      dg.v[k] = hn::Mul(hn::Mul(dy.v[k], u.v[k]), slope);
    });
  };
  const auto unit = static_cast<int64_t>(sn::unit_cols<T>());
  sn::Unit<T> dg, du;
  int64_t i = begin;
  for (; i + unit <= end; i += unit) {
    gradients(sn::load_unit(gate + i), sn::load_unit(up + i), sn::load_unit(dout + i), dg, du);
    sn::store_unit(dg, dgate + i);
    sn::store_unit(du, dup + i);
  }
  if (i < end) {
    const auto left = static_cast<size_t>(end - i);
    gradients(sn::load_partial(gate + i, left), sn::load_partial(up + i, left),
              sn::load_partial(dout + i, left), dg, du);
    sn::store_partial(dg, dgate + i, left);
    sn::store_partial(du, dup + i, left);
  }
}

void gate_gradients(const GateGradientArgs& args, int64_t begin, int64_t end) {
  if (args.dtype == DType::kFloat32) return gate_gradients_typed<float>(args, begin, end);
  gate_gradients_typed<BFloat16>(args, begin, end);
}

// scores -> softmax(scale scores), in place.
HWY_INLINE void softmax(float* scores, size_t length, float scale) {
  const sn::Tag<float> d;
  const float largest = largest_of(scores, length, scores[0]);
  const auto total = weights_of(scores, hn::Set(d, largest), hn::Set(d, scale), length, length, scores);
  const float inverse = 1 / sn::sum_lanes(d, total);
  for (size_t i = 0; i < length; ++i) scores[i] *= inverse;
}

// out = sum_s weights[s] v[s].
template <class T>
HWY_INLINE void weigh(const float* HWY_RESTRICT weights, const T* HWY_RESTRICT v, size_t length, size_t width,
                      T* HWY_RESTRICT out) {
  const sn::Tag<T> d;
  const size_t unit = sn::unit_cols<T>();
  for (size_t c = 0; c < width; c += unit) {
    const size_t here = std::min(unit, width - c);
    sn::Unit<T> sum = sn::zero_unit<T>();
    for (size_t s = 0; s < length; ++s) {
      const T* const p = v + s * width + c;
      const sn::Unit<T> value = here == unit ? sn::load_unit(p) : sn::load_partial(p, here);
      const auto weight = hn::Set(d, weights[s]);
      sn::for_vecs<T>([&](auto k) SEEDNORM_LAMBDA { sum.v[k] = hn::MulAdd(weight, value.v[k], sum.v[k]); });
    }
    sn::store_partial(sum, out + c, here);
  }
}

template <class T>
HWY_NOINLINE void attend_typed(const AttendArgs& a) {
  const auto width = static_cast<size_t>(a.width), length = static_cast<size_t>(a.length);
  dot_all(static_cast<const T*>(a.q), a.group, static_cast<const T*>(a.k), width, 0, a.length,
          [&](int64_t g, int64_t s, float sum) SEEDNORM_LAMBDA { a.scores[g * a.length + s] = sum; });
  for (int64_t g = 0; g < a.group; ++g) {
    float* const weights = a.scores + g * a.length;
    softmax(weights, length, a.scale);
    weigh(weights, static_cast<const T*>(a.v), length, width, static_cast<T*>(a.out) + g * a.width);
  }
}

void attend(const AttendArgs& args) {
  if (args.dtype == DType::kFloat32) return attend_typed<float>(args);
  attend_typed<BFloat16>(args);
}

}  // namespace seednorm::lab::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seednorm::lab {

HWY_EXPORT(multiply);
HWY_EXPORT(gate);
HWY_EXPORT(gate_gradients);
HWY_EXPORT(attend);

void multiply_rows(const ProductArgs& args, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(multiply)(args, begin, end);
}
void gate_elements(const GateArgs& args, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(gate)(args, begin, end);
}
void gate_gradients(const GateGradientArgs& args, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(gate_gradients)(args, begin, end);
}
void attend_rows(const AttendArgs& args) { HWY_DYNAMIC_DISPATCH(attend)(args); }

}  // namespace seednorm::lab
#endif  // HWY_ONCE
