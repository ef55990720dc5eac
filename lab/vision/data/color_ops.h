// Operations on the colours of single pixels, and those that need their neighbours or their distribution:
// each is, to the bit, what Pillow's ImageOps and ImageEnhance do with an RGB image.
#ifndef SEEDNORM_LAB_VISION_DATA_COLOR_OPS_H_
#define SEEDNORM_LAB_VISION_DATA_COLOR_OPS_H_

#include "lab/vision/data/image.h"

namespace seednorm::lab {

// Each channel stretched to 0 .. 255.
void auto_contrast(Image& image);
// Each channel's values spread evenly.
void equalize(Image& image);
void invert(Image& image);
// Keeps the upper `bits` of each value, 0 to 8. Pillow refuses 0, which makes the image black.
void posterize(Image& image, int bits);
// Inverts values from `threshold` on, 0 to 256.
void solarize(Image& image, int threshold);
// Adds to values below 128, up to 255. amount >= 0.
void solarize_add(Image& image, int amount);

// From `factor` 0, which leaves gray, the mean gray, black or a smoothed image, over 1, which changes
// nothing, to beyond.
void adjust_color(Image& image, double factor);
void adjust_contrast(Image& image, double factor);
void adjust_brightness(Image& image, double factor);
void adjust_sharpness(Image& image, double factor);

void flip_horizontally(Image& image);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_COLOR_OPS_H_
