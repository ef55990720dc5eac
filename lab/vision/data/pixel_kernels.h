// The inner loops over pixels, compiled for each instruction set; all give the same bits.
#ifndef SEEDNORM_LAB_VISION_DATA_PIXEL_KERNELS_H_
#define SEEDNORM_LAB_VISION_DATA_PIXEL_KERNELS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lab/vision/data/image.h"

namespace seednorm::lab {

inline constexpr int kTapBits = 22;  // after the point: Pillow's precision for 8-bit images

// For each of several outputs, which inputs it is a sum of: count[i] from first[i], with the weights from
// weights[i * num] on; weights beyond the count are 0.
struct Taps {
  int num = 0;
  std::vector<int> first, count;
  std::vector<int32_t> weights;
};

// out[i] = sum of taps over the pixels of a row, rounded, for each channel. May read 16 bytes beyond.
void resample_row(const uint8_t* in, const Taps& taps, uint8_t* out);

// out[c] = sum over k of weights[k] in[k * stride + c], rounded; num bytes.
void blend_rows(const uint8_t* in, size_t stride, std::span<const int32_t> weights, size_t num, uint8_t* out);

// One row of an image that is looked up at (x_begin + x dx, y_begin + x dy) for x = 0 .. width - 1 by
// Pillow's bicubic interpolation (a = -1) of 4 x 4 pixels in double, rounded as Pillow does. Where that is
// outside of the image, `out` stays.
struct Line {
  double a0, a1_y, a2, a3, a4_y, a5;  // x = a0 (i + 0.5) + a1_y + a2, y = a3 (i + 0.5) + a4_y + a5
};
void interpolate_row(const ImageView& image, const Line& line, int width, uint8_t* out);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_PIXEL_KERNELS_H_
