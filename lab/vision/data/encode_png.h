// Pixels to PNG, and many pictures to one.
#ifndef SEEDNORM_LAB_VISION_DATA_ENCODE_PNG_H_
#define SEEDNORM_LAB_VISION_DATA_ENCODE_PNG_H_

#include <span>
#include <string>

#include "lab/vision/data/image.h"

namespace seednorm::lab {

// A PNG file of 8-bit RGB, without loss. Throws std::runtime_error if libpng cannot.
std::string encode_png(const ImageView& image);

// Pictures of one size side by side, `columns` in a row, with `gap` white pixels between them and none
// around. The last row may be short. Throws std::invalid_argument if their sizes differ or there is none.
Image make_grid(std::span<const Image> images, int columns, int gap = 2);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_ENCODE_PNG_H_
