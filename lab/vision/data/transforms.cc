#include "lab/vision/data/transforms.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

// Python's round: halves go to the even neighbour.
int round_to_int(double x) { return static_cast<int>(std::nearbyint(x)); }

}  // namespace

Rect random_crop(int width, int height, Range area, Range ratio, Draws& draws) {
  const double pixels = double(width) * height;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = draws.uniform(area.low, area.high) * pixels;
    const double aspect = std::exp(draws.uniform(std::log(ratio.low), std::log(ratio.high)));
    const double w = std::nearbyint(std::sqrt(target * aspect)),
                 h = std::nearbyint(std::sqrt(target / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int crop_width = static_cast<int>(w), crop_height = static_cast<int>(h);
    const int y = draws.below(height - crop_height + 1), x = draws.below(width - crop_width + 1);
    return {x, y, crop_width, crop_height};
  }
  const double in_ratio = double(width) / height;
  Rect middle{0, 0, width, height};
  if (in_ratio < ratio.low) middle.height = std::max(1, round_to_int(width / ratio.low));
  if (in_ratio > ratio.high) middle.width = std::max(1, round_to_int(height * ratio.high));
  middle.x = (width - middle.width) / 2;
  middle.y = (height - middle.height) / 2;
  return middle;
}

Image padded_crop(const ImageView& image, int size, int padding, Draws& draws) {
  const int free_y = image.height + 2 * padding - size, free_x = image.width + 2 * padding - size;
  const int top = draws.below(free_y + 1) - padding, left = draws.below(free_x + 1) - padding;
  Image out(size, size);
  const int begin = std::max(0, -left), end = std::min(size, image.width - left);
  for (int y = std::max(0, -top); y < std::min(size, image.height - top) && begin < end; ++y) {
    std::memcpy(out.row(y) + size_t(begin) * 3, image.row(y + top) + size_t(left + begin) * 3,
                size_t(end - begin) * 3);
  }
  return out;
}

Image center_crop(const ImageView& image, int short_side, int size, Filter filter) {
  const bool is_tall = image.width <= image.height;
  const int long_side = static_cast<int>(double(short_side) * (is_tall ? image.height : image.width) /
                                         (is_tall ? image.width : image.height));
  const Image scaled =
      resize(image, is_tall ? short_side : long_side, is_tall ? long_side : short_side, filter);
  const Rect middle{round_to_int((scaled.width() - size) / 2.0), round_to_int((scaled.height() - size) / 2.0),
                    size, size};
  return copy_of(ImageView(scaled, middle));
}

Image center_crop_adm(const ImageView& image, int size) {
  Image halved;
  ImageView view = image;
  while (std::min(view.width, view.height) >= 2 * size) {
    Image next = resize(view, view.width / 2, view.height / 2, Filter::kBox);
    halved = std::move(next);
    view = halved;
  }
  const double scale = double(size) / std::min(view.width, view.height);
  const Image scaled =
      resize(view, round_to_int(view.width * scale), round_to_int(view.height * scale), Filter::kBicubic);
  return copy_of(
      ImageView(scaled, Rect{(scaled.width() - size) / 2, (scaled.height() - size) / 2, size, size}));
}

Normalization named_normalization(const std::string& name) {
  if (name == "imagenet") return kImageNetNormalization;
  if (name == "cifar") return kCifarNormalization;
  if (name == "symmetric") return kSymmetricNormalization;
  throw std::invalid_argument("expected imagenet, cifar or symmetric, got " + quote(name));
}

Normalizer::Normalizer(const Normalization& normalization) {
  for (int c = 0; c < 3; ++c) {
    for (int v = 0; v < 256; ++v) {
      values_[c][v] = (static_cast<float>(v) / 255.0f - normalization.mean[c]) / normalization.std[c];
    }
  }
}

void Normalizer::apply(const Image& image, std::span<float> out) const {
  const auto bytes = image.bytes();
  for (size_t i = 0; i < bytes.size(); i += 3) {
    for (int c = 0; c < 3; ++c) out[i + c] = values_[c][bytes[i + c]];
  }
}

void random_erase(std::span<float> image, int width, int height, const EraseOptions& options, Draws& draws) {
  if (options.probability <= 0 || draws.uniform() > options.probability) return;
  const double log_ratio = std::log(1 / options.min_ratio);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = draws.uniform(options.area.low, options.area.high) * (double(width) * height);
    const double aspect = std::exp(draws.uniform(std::log(options.min_ratio), log_ratio));
    const int h = round_to_int(std::sqrt(target * aspect)), w = round_to_int(std::sqrt(target / aspect));
    if (w >= width || h >= height) continue;
    const int top = draws.below(height - h + 1), left = draws.below(width - w + 1);
    for (int y = top; y < top + h; ++y) {
      float* row = image.data() + (size_t(y) * width + left) * 3;
      for (int i = 0; i < w * 3; i += 2) {
        const auto [first, second] = draws.normals();
        row[i] = static_cast<float>(first);
        if (i + 1 < w * 3) row[i + 1] = static_cast<float>(second);
      }
    }
    return;
  }
}

}  // namespace seednorm::lab
