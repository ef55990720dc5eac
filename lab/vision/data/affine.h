// Turning, shearing and moving a picture as timm's RandAugment does by Pillow.
#ifndef SEEDNORM_LAB_VISION_DATA_AFFINE_H_
#define SEEDNORM_LAB_VISION_DATA_AFFINE_H_

#include <array>

#include "lab/vision/data/image.h"

namespace seednorm::lab {

using Color = std::array<uint8_t, 3>;

// The pixel at (x, y) is the image at (a0 x + a1 y + a2, a3 x + a4 y + a5), coordinates of pixels' middles,
// by Pillow's bicubic interpolation; `fill` where that is outside.
Image transform(const Image& image, const std::array<double, 6>& a, const Color& fill);

Image rotate(const Image& image, double degrees, const Color& fill);  // counterclockwise about the middle
Image shear_x(const Image& image, double factor, const Color& fill);
Image shear_y(const Image& image, double factor, const Color& fill);
// By a part of the width or height, to the left or up where it is positive.
Image translate_x(const Image& image, double part, const Color& fill);
Image translate_y(const Image& image, double part, const Color& fill);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_AFFINE_H_
