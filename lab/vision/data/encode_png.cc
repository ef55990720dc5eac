#include "lab/vision/data/encode_png.h"

#include <png.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace seednorm::lab {

std::string encode_png(const ImageView& image) {
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;
  const auto fail = [&] { throw std::runtime_error(std::string("cannot make a PNG: ") + png.message); };
  const auto stride = static_cast<png_int_32>(image.stride);
  std::string out(PNG_IMAGE_PNG_SIZE_MAX(png), '\0');  // a bound
  png_alloc_size_t size = out.size();
  if (png_image_write_to_memory(&png, out.data(), &size, 0, image.data, stride, nullptr) == 0) fail();
  out.resize(size);
  return out;
}

Image make_grid(std::span<const Image> images, int columns, int gap) {
  if (images.empty() || columns < 1 || gap < 0)
    throw std::invalid_argument("a grid needs pictures and columns");
  const int width = images[0].width(), height = images[0].height();
  const int num = static_cast<int>(images.size());
  columns = std::min(columns, num);
  const int rows = (num + columns - 1) / columns;
  Image out(columns * (width + gap) - gap, rows * (height + gap) - gap);
  std::fill(out.bytes().begin(), out.bytes().end(), uint8_t{255});
  for (int i = 0; i < num; ++i) {
    if (images[i].width() != width || images[i].height() != height) {
      throw std::invalid_argument("a grid needs pictures of one size");
    }
    const int left = i % columns * (width + gap), top = i / columns * (height + gap);
    for (int y = 0; y < height; ++y) {
      std::memcpy(out.row(top + y) + size_t(left) * 3, images[i].row(y), images[i].row_bytes());
    }
  }
  return out;
}

}  // namespace seednorm::lab
