#include "lab/vision/data/pixel_kernels.h"

#include <algorithm>
#include <cmath>

namespace seednorm::lab {
namespace {

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kTapBits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kTapBits - 1);

// The cubic through v1 .. v4 at d between the two in the middle, with Pillow's order of operations.
double cubic(double v1, double v2, double v3, double v4, double d) {
  const double p2 = -v1 + v3, p3 = 2 * (v1 - v2) + v3 - v4, p4 = -v1 + v2 - v3 + v4;
  return v2 + d * (p2 + d * (p3 + d * p4));
}

}  // namespace

void resample_row(const uint8_t* in, const Taps& taps, uint8_t* out) {
  for (size_t i = 0; i < taps.first.size(); ++i) {
    const int32_t* weights = taps.weights.data() + i * taps.num;
    const uint8_t* from = in + size_t(taps.first[i]) * 3;
    int32_t sum[3] = {kHalf, kHalf, kHalf};
    for (int k = 0; k < taps.count[i]; ++k) {
      for (int c = 0; c < 3; ++c) sum[c] += from[k * 3 + c] * weights[k];
    }
    for (int c = 0; c < 3; ++c) out[i * 3 + c] = to_byte(sum[c]);
  }
}

void blend_rows(const uint8_t* in, size_t stride, std::span<const int32_t> weights, size_t num,
                uint8_t* out) {
  for (size_t i = 0; i < num; ++i) {
    int32_t sum = kHalf;
    for (size_t k = 0; k < weights.size(); ++k) sum += in[k * stride + i] * weights[k];
    out[i] = to_byte(sum);
  }
}

void interpolate_row(const ImageView& image, const Line& line, int width, uint8_t* out) {
  for (int i = 0; i < width; ++i) {
    const double at = i + 0.5;
    double x = line.a0 * at + line.a1_y + line.a2, y = line.a3 * at + line.a4_y + line.a5;
    if (!(x >= 0 && x < image.width && y >= 0 && y < image.height)) continue;
    x -= 0.5;
    y -= 0.5;
    const int left = static_cast<int>(std::floor(x)) - 1, top = static_cast<int>(std::floor(y)) - 1;
    const double dx = x - (left + 1), dy = y - (top + 1);
    for (int c = 0; c < 3; ++c) {
      double rows[4];
      for (int r = 0; r < 4; ++r) {
        const uint8_t* row = image.row(std::clamp(top + r, 0, image.height - 1)) + c;
        double v[4];
        for (int k = 0; k < 4; ++k) v[k] = row[std::clamp(left + k, 0, image.width - 1) * 3];
        rows[r] = cubic(v[0], v[1], v[2], v[3], dx);
      }
      const double value = cubic(rows[0], rows[1], rows[2], rows[3], dy);
      out[i * 3 + c] = static_cast<uint8_t>(std::clamp(value, 0.0, 255.0));
    }
  }
}

}  // namespace seednorm::lab
