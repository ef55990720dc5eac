// The inner loops over pixels, compiled for each instruction set; all give the same bits.
#ifndef SEEDNORM_LAB_VISION_DATA_PIXEL_KERNELS_H_
#define SEEDNORM_LAB_VISION_DATA_PIXEL_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lab/vision/data/image.h"

namespace seednorm::lab {

inline constexpr int kTapBits = 22;  // after the point: Pillow's precision for 8-bit images

// For each of several outputs, which inputs it is a sum of: count[i] from first[i] on, with the weights
// that begin at weights[i * num]. Weights beyond the count are 0. Their absolute values are below 2^25.
struct Taps {
  int num = 0;
  std::vector<int> first, count;
  std::vector<int32_t> weights;
};

// out[y][i] = the sum of the taps of output i over the pixels of row y, for each channel, rounded and cut
// off to 0 .. 255. `out` has as many columns as there are outputs and as many rows as the image. May read
// 16 bytes beyond the image.
void resample_columns(const ImageView& image, const Taps& taps, Image& out);

// The same for rows: out[i][x] = the sum of the taps of output i over the pixels of column x.
void resample_rows(const ImageView& image, const Taps& taps, Image& out);

// A row of an image that is looked up at x = a0 (i + 0.5) + a1_y + a2, y = a3 (i + 0.5) + a4_y + a5 for i
// = 0 .. width - 1, in coordinates of pixels' corners, by Pillow's bicubic interpolation (a = -1) of 4 x
// 4 pixels in double with its order of operations, cut off to 0 .. 255. Where that is outside of the
// image, `out` stays. May read 16 bytes beyond the image.
struct Line {
  double a0, a1_y, a2, a3, a4_y, a5;
};
void interpolate_row(const ImageView& image, const Line& line, int width, uint8_t* out);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_PIXEL_KERNELS_H_
