// Pictures in memory: 8 bits a channel, red, green, blue.
#ifndef SEEDNORM_LAB_VISION_DATA_IMAGE_H_
#define SEEDNORM_LAB_VISION_DATA_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "lab/base/error.h"

namespace seednorm::lab {

// A part of an image: columns x .. x + width - 1 and rows y .. y + height - 1.
struct Rect {
  int x = 0, y = 0, width = 0, height = 0;
  bool operator==(const Rect&) const = default;
};

// [height, width, 3], rows without gaps. A gray image has three equal channels.
class Image {
 public:
  Image() = default;
  Image(int width, int height)
      : width_(width), height_(height), pixels_(size_t(width) * height * 3 + kSlack) {}

  int width() const { return width_; }
  int height() const { return height_; }
  size_t row_bytes() const { return size_t(width_) * 3; }
  uint8_t* row(int y) { return pixels_.data() + y * row_bytes(); }
  const uint8_t* row(int y) const { return pixels_.data() + y * row_bytes(); }
  std::span<uint8_t> bytes() { return {pixels_.data(), row_bytes() * height_}; }
  std::span<const uint8_t> bytes() const { return {pixels_.data(), row_bytes() * height_}; }

 private:
  static constexpr size_t kSlack = 16;  // kernels may read whole vectors at the end

  int width_ = 0, height_ = 0;
  std::vector<uint8_t> pixels_;
};

// Pixels that somebody else owns, for instance a part of an Image. Kernels may read up to 16 bytes beyond its
// last row.
struct ImageView {
  const uint8_t* data;
  int width, height;
  size_t stride;  // bytes from row to row

  ImageView(const Image& image) : ImageView(image, {0, 0, image.width(), image.height()}) {}  // NOLINT
  ImageView(const Image& image, const Rect& part)
      : data(image.row(part.y) + size_t(part.x) * 3),
        width(part.width),
        height(part.height),
        stride(image.row_bytes()) {}
  const uint8_t* row(int y) const { return data + y * stride; }
};

// A copy of a part.
inline Image copy_of(const ImageView& view) {
  Image out(view.width, view.height);
  for (int y = 0; y < view.height; ++y) std::memcpy(out.row(y), view.row(y), out.row_bytes());
  return out;
}

// Which part of an image of this size is wanted. It must lie inside.
using RegionOf = std::function<Rect(int width, int height)>;
inline Rect whole_image(int width, int height) { return {0, 0, width, height}; }

// An image that cannot be read: the message names it and says why. Training may go on without it.
class DamagedImage : public UserError {
 public:
  using UserError::UserError;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_IMAGE_H_
