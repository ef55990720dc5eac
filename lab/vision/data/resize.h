// Scaling as Pillow does it, to the bit.
#ifndef SEEDNORM_LAB_VISION_DATA_RESIZE_H_
#define SEEDNORM_LAB_VISION_DATA_RESIZE_H_

#include "lab/vision/data/image.h"

namespace seednorm::lab {

enum class Filter { kBox, kBilinear, kBicubic };

// The image at another size: Pillow's Image.resize, whose filters widen when it shrinks (antialias). Columns
// are summed first and rows after them, each rounded to 8 bits; coefficients have 22 bits after the point. A
// side that keeps its length is not filtered. Rows come first where the image loses more than twice as many
// rows as columns: Pillow does so since version 13, and did not up to 12. width, height >= 1.
Image resize(const ImageView& image, int width, int height, Filter filter);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_RESIZE_H_
