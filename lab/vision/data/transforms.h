// From a decoded picture to the square that a model sees.
#ifndef SEEDNORM_LAB_VISION_DATA_TRANSFORMS_H_
#define SEEDNORM_LAB_VISION_DATA_TRANSFORMS_H_

#include <array>
#include <span>
#include <string>

#include "lab/vision/data/draws.h"
#include "lab/vision/data/image.h"
#include "lab/vision/data/resize.h"

namespace seednorm::lab {

struct Range {
  double low, high;
};

// The part of a width x height image that a random resized crop takes: an area and a ratio of width to height
// (log-uniform) in these ranges, ten tries, else the largest middle part whose ratio is in range. The order
// of draws is that of timm's RandomResizedCropAndInterpolation.
Rect random_crop(int width, int height, Range area, Range ratio, Draws& draws);

// A size x size part of the image with `padding` black pixels around it, as torchvision's RandomCrop. With
// them it must be large enough.
Image padded_crop(const ImageView& image, int size, int padding, Draws& draws);

// The short side becomes `short_side`, and the middle size x size of that: torchvision's Resize and
// CenterCrop, timm's evaluation. size <= short_side.
Image center_crop(const ImageView& image, int short_side, int size, Filter filter);

// Halved by a box filter while the short side is at least twice `size`, then bicubic so that it is `size`,
// and the middle: the picture that DiT and ADM train on.
Image center_crop_adm(const ImageView& image, int size);

// Normalization of a value v of channel c: (v / 255 - mean[c]) / std[c] in float32, as torchvision computes
// it.
struct Normalization {
  std::array<float, 3> mean, std;
};
inline constexpr Normalization kImageNetNormalization = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
// To -1 .. 1.
inline constexpr Normalization kSymmetricNormalization = {{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}};
inline constexpr Normalization kCifarNormalization = {{0.4914f, 0.4822f, 0.4465f},
                                                      {0.247f, 0.2435f, 0.2616f}};
// "imagenet", "cifar" or "symmetric" (to -1 .. 1). Throws std::invalid_argument for another name.
Normalization named_normalization(const std::string& name);

class Normalizer {
 public:
  explicit Normalizer(const Normalization& normalization);
  // out: [height, width, 3]
  void apply(const Image& image, std::span<float> out) const;

 private:
  std::array<std::array<float, 256>, 3> values_;
};

struct EraseOptions {
  double probability = 0;
  Range area = {0.02, 1.0 / 3};
  double min_ratio = 0.3;  // of height to width; at most its inverse
};

// Fills a random box of a normalized image [height, width, 3] with numbers of mean 0 and variance 1: timm's
// RandomErasing in pixel mode with one box, in the order of its draws.
void random_erase(std::span<float> image, int width, int height, const EraseOptions& options, Draws& draws);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_TRANSFORMS_H_
