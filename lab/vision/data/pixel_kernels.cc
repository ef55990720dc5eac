#include "lab/vision/data/pixel_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lab/vision/data/pixel_kernels.cc"
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// clang-format on

#include <algorithm>
#include <cmath>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace seednorm::lab::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int32_t kHalf = 1 << (kTapBits - 1);

HWY_INLINE uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kTapBits, 0, 255)); }

// The cubic through v1 .. v4 at d between the two in the middle, with Pillow's order of operations.
HWY_INLINE double cubic(double v1, double v2, double v3, double v4, double d) {
  const double p2 = -v1 + v3, p3 = 2 * (v1 - v2) + v3 - v4, p4 = -v1 + v2 - v3 + v4;
  return v2 + d * (p2 + d * (p3 + d * p4));
}

// Any pixel; those beyond the border are the ones at it.
HWY_INLINE void interpolate_at_border(const ImageView& image, int left, int top, double dx, double dy,
                                      uint8_t* out) {
  for (int c = 0; c < 3; ++c) {
    double rows[4];
    for (int r = 0; r < 4; ++r) {
      const uint8_t* row = image.row(std::clamp(top + r, 0, image.height - 1)) + c;
      double v[4];
      for (int k = 0; k < 4; ++k) v[k] = row[std::clamp(left + k, 0, image.width - 1) * 3];
      rows[r] = cubic(v[0], v[1], v[2], v[3], dx);
    }
    out[c] = static_cast<uint8_t>(std::clamp(cubic(rows[0], rows[1], rows[2], rows[3], dy), 0.0, 255.0));
  }
}

#if HWY_TARGET == HWY_SCALAR

void sum_columns(const ImageView& image, const Taps& taps, Image& out) {
  for (int y = 0; y < out.height(); ++y) {
    for (int i = 0; i < out.width(); ++i) {
      const int32_t* weights = taps.weights.data() + size_t(i) * taps.num;
      const uint8_t* from = image.row(y) + size_t(taps.first[i]) * 3;
      for (int c = 0; c < 3; ++c) {
        int32_t sum = kHalf;
        for (int k = 0; k < taps.count[i]; ++k) sum += from[k * 3 + c] * weights[k];
        out.row(y)[i * 3 + c] = to_byte(sum);
      }
    }
  }
}

void sum_rows(const ImageView& image, const Taps& taps, Image& out) {
  for (int i = 0; i < out.height(); ++i) {
    const int32_t* weights = taps.weights.data() + size_t(i) * taps.num;
    for (size_t x = 0; x < out.row_bytes(); ++x) {
      int32_t sum = kHalf;
      for (int k = 0; k < taps.count[i]; ++k) sum += image.row(taps.first[i] + k)[x] * weights[k];
      out.row(i)[x] = to_byte(sum);
    }
  }
}

HWY_INLINE void interpolate_inside(const ImageView& image, int left, int top, double dx, double dy,
                                   uint8_t* out) {
  interpolate_at_border(image, left, top, dx, dy, out);
}

#else

// Weights have more bits than the fast products of 16 bits take, so each is cut in two: upper * 2^12 + lower with
// 0 <= lower < 2^12. The sums of both parts are exact, so that their order does not matter.
constexpr int kLowBits = 12;
using D16 = hn::CappedTag<int16_t, 16>;  // one or two blocks of 16 bytes
using D32 = hn::RepartitionToWide<D16>;
using V16 = hn::Vec<D16>;
using V32 = hn::Vec<D32>;

HWY_INLINE int16_t low_part(int32_t weight) { return static_cast<int16_t>(weight & ((1 << kLowBits) - 1)); }
HWY_INLINE int16_t high_part(int32_t weight) { return static_cast<int16_t>(weight >> kLowBits); }

// Sums of products of neighbours: of upper and of lower parts. An aggregate, since constructors that the compiler makes
// would not get the target's attributes.
struct Sum {
  V32 high_even, high_odd, low_even, low_odd;
};
HWY_INLINE Sum no_sum() {
  const V32 zero = hn::Zero(D32());
  return {zero, zero, zero, zero};
}
HWY_INLINE void add_products(Sum& sum, V16 values, V16 high_weights, V16 low_weights) {
  sum.high_even = hn::ReorderWidenMulAccumulate(D32(), values, high_weights, sum.high_even, sum.high_odd);
  sum.low_even = hn::ReorderWidenMulAccumulate(D32(), values, low_weights, sum.low_even, sum.low_odd);
}
HWY_INLINE V32 total_of(const Sum& sum) {
  return hn::Add(hn::ShiftLeft<kLowBits>(hn::RearrangeToOddPlusEven(sum.high_even, sum.high_odd)),
                 hn::RearrangeToOddPlusEven(sum.low_even, sum.low_odd));
}

// A block of 16 bytes holds two pixels as 16-bit r0 r1 g0 g1 b0 b1 and two more lanes, whose weights are 0.
void sum_columns(const ImageView& image, const Taps& taps, Image& out) {
  const D16 d16;
  const hn::Repartition<uint8_t, D16> d8;
  const hn::FixedTag<int32_t, 4> d4;
  const hn::FixedTag<uint8_t, 4> out8;
  const size_t lanes = hn::Lanes(d16), pixels = lanes / 4;
  const size_t steps = (taps.num + pixels - 1) / pixels;

  std::vector<int16_t> weights(taps.first.size() * steps * lanes * 2);
  for (size_t i = 0; i < taps.first.size(); ++i) {
    for (int k = 0; k < taps.count[i]; ++k) {
      int16_t* to = &weights[(i * steps + k / pixels) * lanes * 2];
      const size_t in_step = k % pixels, at = in_step / 2 * 8 + in_step % 2;
      const int32_t weight = taps.weights[i * taps.num + k];
      for (size_t c = 0; c < 3; ++c) {
        to[at + c * 2] = high_part(weight);
        to[lanes + at + c * 2] = low_part(weight);
      }
    }
  }
  HWY_ALIGN uint8_t spread[32];
  std::fill(spread, spread + 32, uint8_t{0x80});  // gives 0
  for (size_t block = 0; block < 2; ++block) {
    for (size_t c = 0; c < 3; ++c) {
      spread[block * 16 + c * 4] = static_cast<uint8_t>(block * 6 + c);
      spread[block * 16 + c * 4 + 2] = static_cast<uint8_t>(block * 6 + 3 + c);
    }
  }
  const auto to_pairs = hn::Load(d8, spread);
  for (int y = 0; y < out.height(); ++y) {
    const uint8_t* row = image.row(y);
    uint8_t* to = out.row(y);
    for (size_t i = 0; i < taps.first.size(); ++i, to += 3) {
      const uint8_t* from = row + size_t(taps.first[i]) * 3;
      const int16_t* weight = &weights[i * steps * lanes * 2];
      Sum sum = no_sum();
      for (int k = 0; k < taps.count[i]; k += static_cast<int>(pixels)) {
        const V16 values = hn::BitCast(d16, hn::TableLookupBytesOr0(hn::LoadDup128(d8, from), to_pairs));
        add_products(sum, values, hn::LoadU(d16, weight), hn::LoadU(d16, weight + lanes));
        from += pixels * 3;
        weight += lanes * 2;
      }
      const V32 total = total_of(sum);
#if HWY_MAX_BYTES >= 32
      const auto all = hn::Add(hn::LowerHalf(d4, total), hn::UpperHalf(d4, total));
#else
      const auto all = total;
#endif
      const auto rounded = hn::ShiftRight<kTapBits>(hn::Add(all, hn::Set(d4, kHalf)));
      // The fourth byte is overwritten by the next pixel or row, or is behind the end.
      hn::StoreU(hn::DemoteTo(out8, rounded), out8, to);
    }
  }
}

void sum_rows(const ImageView& image, const Taps& taps, Image& out) {
  const D16 d16;
  const D32 d32;
  const hn::Rebind<uint8_t, D16> d8;
  const size_t lanes = hn::Lanes(d16), bytes = out.row_bytes();
  for (int i = 0; i < out.height(); ++i) {
    const int32_t* weights = taps.weights.data() + size_t(i) * taps.num;
    uint8_t* to = out.row(i);
    const int count = taps.count[i];
    size_t x = 0;
    for (; x + lanes <= bytes; x += lanes) {
      Sum lower = no_sum(), upper = no_sum();
      for (int k = 0; k < count; k += 2) {
        const int second = std::min(k + 1, count - 1);
        const int32_t w0 = weights[k], w1 = k + 1 < count ? weights[k + 1] : 0;
        const V16 a = hn::PromoteTo(d16, hn::LoadU(d8, image.row(taps.first[i] + k) + x));
        const V16 b = hn::PromoteTo(d16, hn::LoadU(d8, image.row(taps.first[i] + second) + x));
        const auto pair = [&](int16_t u, int16_t v) HWY_ATTR {
          const uint32_t both = static_cast<uint16_t>(u) | static_cast<uint32_t>(static_cast<uint16_t>(v))
                                                               << 16;
          return hn::BitCast(d16, hn::Set(d32, static_cast<int32_t>(both)));
        };
        const V16 high = pair(high_part(w0), high_part(w1)), low = pair(low_part(w0), low_part(w1));
        add_products(lower, hn::InterleaveLower(d16, a, b), high, low);
        add_products(upper, hn::InterleaveUpper(d16, a, b), high, low);
      }
      const auto rounded = [&](const Sum& sum) HWY_ATTR {
        return hn::ShiftRight<kTapBits>(hn::Add(total_of(sum), hn::Set(d32, kHalf)));
      };
      // In each block of 16 bytes both interleaving and packing keep the order.
      const V16 packed = hn::ReorderDemote2To(d16, rounded(lower), rounded(upper));
      hn::StoreU(hn::DemoteTo(d8, packed), d8, to + x);
    }
    for (; x < bytes; ++x) {
      int32_t sum = kHalf;
      for (int k = 0; k < count; ++k) sum += image.row(taps.first[i] + k)[x] * weights[k];
      to[x] = to_byte(sum);
    }
  }
}

#if HWY_MAX_BYTES >= 32

// All 4 x 4 pixels are inside. The coefficients of a row's cubic are whole numbers, exact in any order.
HWY_INLINE void interpolate_inside(const ImageView& image, int left, int top, double dx, double dy,
                                   uint8_t* out) {
  const hn::FixedTag<double, 4> d;
  const hn::FixedTag<int32_t, 4> di;
  const hn::FixedTag<uint8_t, 16> d8;
  using Vec = hn::Vec<decltype(d)>;
  HWY_ALIGN static constexpr uint8_t kSpread[64] = {
      0, 128, 128, 128, 1,  128, 128, 128, 2,  128, 128, 128, 128, 128, 128, 128,  //
      3, 128, 128, 128, 4,  128, 128, 128, 5,  128, 128, 128, 128, 128, 128, 128,  //
      6, 128, 128, 128, 7,  128, 128, 128, 8,  128, 128, 128, 128, 128, 128, 128,  //
      9, 128, 128, 128, 10, 128, 128, 128, 11, 128, 128, 128, 128, 128, 128, 128};
  const auto x = hn::Set(d, dx), y = hn::Set(d, dy);
  const auto polynomial = [&](Vec at, Vec p1, Vec p2, Vec p3, Vec p4) HWY_ATTR {
    return hn::Add(p1, hn::Mul(at, hn::Add(p2, hn::Mul(at, hn::Add(p3, hn::Mul(at, p4))))));
  };
  Vec rows[4];
  const uint8_t* from = image.row(top) + size_t(left) * 3;
  for (int r = 0; r < 4; ++r, from += image.stride) {
    const auto bytes = hn::LoadU(d8, from);
    const auto pixel = [&](int k) HWY_ATTR {
      return hn::BitCast(di, hn::TableLookupBytesOr0(bytes, hn::Load(d8, kSpread + k * 16)));
    };
    const auto v1 = pixel(0), v2 = pixel(1), v3 = pixel(2), v4 = pixel(3);
    const auto a = hn::Sub(v1, v2), b = hn::Sub(v3, v4);  // p4 = -(a + b), p3 = 2 a + b
    const auto p2 = hn::Sub(v3, v1), p3 = hn::Add(hn::Add(a, a), b),
               p4 = hn::Sub(hn::Zero(di), hn::Add(a, b));
    rows[r] =
        polynomial(x, hn::PromoteTo(d, v2), hn::PromoteTo(d, p2), hn::PromoteTo(d, p3), hn::PromoteTo(d, p4));
  }
  const auto v1 = rows[0], v2 = rows[1], v3 = rows[2], v4 = rows[3];
  const auto p2 = hn::Sub(v3, v1);
  const auto p3 = hn::Sub(hn::Add(hn::Mul(hn::Set(d, 2.0), hn::Sub(v1, v2)), v3), v4);
  const auto p4 = hn::Add(hn::Sub(hn::Sub(v2, v1), v3), v4);
  const auto value = polynomial(y, v2, p2, p3, p4);
  const auto cut = hn::Min(hn::Max(value, hn::Zero(d)), hn::Set(d, 255.0));
  const hn::FixedTag<uint8_t, 4> out8;
  uint8_t four[4];
  hn::StoreU(hn::DemoteTo(out8, hn::DemoteTo(di, cut)), out8, four);  // towards 0
  std::memcpy(out, four, 3);
}

#else

HWY_INLINE void interpolate_inside(const ImageView& image, int left, int top, double dx, double dy,
                                   uint8_t* out) {
  interpolate_at_border(image, left, top, dx, dy, out);
}

#endif
#endif

void look_up_row(const ImageView& image, const Line& line, int width, uint8_t* out) {
  for (int i = 0; i < width; ++i, out += 3) {
    const double at = i + 0.5;
    double x = line.a0 * at + line.a1_y + line.a2, y = line.a3 * at + line.a4_y + line.a5;
    if (!(x >= 0 && x < image.width && y >= 0 && y < image.height)) continue;
    x -= 0.5;
    y -= 0.5;
    const double floor_x = std::floor(x), floor_y = std::floor(y);
    const int left = static_cast<int>(floor_x) - 1, top = static_cast<int>(floor_y) - 1;
    const bool is_inside = left >= 0 && top >= 0 && left + 4 <= image.width && top + 4 <= image.height;
    const auto interpolate = is_inside ? interpolate_inside : interpolate_at_border;
    interpolate(image, left, top, x - floor_x, y - floor_y, out);
  }
}

}  // namespace seednorm::lab::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seednorm::lab {

HWY_EXPORT(sum_columns);
HWY_EXPORT(sum_rows);
HWY_EXPORT(look_up_row);

void resample_columns(const ImageView& image, const Taps& taps, Image& out) {
  HWY_DYNAMIC_DISPATCH(sum_columns)(image, taps, out);
}
void resample_rows(const ImageView& image, const Taps& taps, Image& out) {
  HWY_DYNAMIC_DISPATCH(sum_rows)(image, taps, out);
}
void interpolate_row(const ImageView& image, const Line& line, int width, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(look_up_row)(image, line, width, out);
}

}  // namespace seednorm::lab
#endif  // HWY_ONCE
