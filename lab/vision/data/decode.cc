#include "lab/vision/data/decode.h"

#include <cstring>
#include <stdexcept>

namespace seednorm::lab {
namespace decoders {
namespace {

// Bounds-checked numbers of either byte order; beyond the end everything is 0.
class TiffReader {
 public:
  explicit TiffReader(std::string_view bytes) : bytes_(bytes), big_(bytes.starts_with("MM")) {}

  uint32_t number(size_t at, int size) const {
    if (at > bytes_.size() || bytes_.size() - at < static_cast<size_t>(size)) return 0;
    uint32_t value = 0;
    for (int i = 0; i < size; ++i) {
      value = value << 8 | static_cast<unsigned char>(bytes_[at + (big_ ? i : size - 1 - i)]);
    }
    return value;
  }

 private:
  std::string_view bytes_;
  bool big_;
};

}  // namespace

int exif_orientation(std::string_view tiff) {
  if (!tiff.starts_with("MM") && !tiff.starts_with("II")) return 1;
  const TiffReader reader(tiff);
  const size_t directory = reader.number(4, 4);
  const uint32_t num_entries = reader.number(directory, 2);
  for (uint32_t i = 0; i < num_entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (entry >= tiff.size()) break;
    constexpr uint32_t kOrientation = 0x0112, kShort = 3;
    if (reader.number(entry, 2) != kOrientation) continue;
    const uint32_t value = reader.number(entry + 8, 2);
    return reader.number(entry + 2, 2) == kShort && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image turn_upright(const Image& image, int orientation) {
  const bool swaps = orientation >= 5;  // columns become rows
  Image out(swaps ? image.height() : image.width(), swaps ? image.width() : image.height());
  for (int y = 0; y < out.height(); ++y) {
    for (int x = 0; x < out.width(); ++x) {
      // Where the pixel was before, of the stored picture turned so that its axes are right.
      const bool flips_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
      const bool flips_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
      const int from_x = flips_x ? out.width() - 1 - x : x, from_y = flips_y ? out.height() - 1 - y : y;
      const uint8_t* from =
          swaps ? image.row(from_x) + size_t(from_y) * 3 : image.row(from_y) + size_t(from_x) * 3;
      std::memcpy(out.row(y) + size_t(x) * 3, from, 3);
    }
  }
  return out;
}

void check_size(int64_t width, int64_t height, size_t num_bytes, int64_t pixels_per_byte,
                const std::string& name, const DecodeOptions& options) {
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  if (width < 1 || height < 1) throw DamagedImage(name + ": its header states a size of " + size);
  if (width > options.max_pixels / height) {
    throw DamagedImage(name + ": is " + size + " pixels, more than the limit of " +
                       std::to_string(options.max_pixels));
  }
  if (width * height / pixels_per_byte > static_cast<int64_t>(num_bytes)) {
    throw DamagedImage(name + ": its header states a size of " + size + ", which its " +
                       std::to_string(num_bytes) + " bytes cannot hold");
  }
}

Rect region_of(int width, int height, const RegionOf& region) {
  const Rect part = region(width, height);
  if (part.x < 0 || part.y < 0 || part.width < 1 || part.height < 1 || part.width > width - part.x ||
      part.height > height - part.y) {
    throw std::logic_error("decode_image: the region lies outside of the image");
  }
  return part;
}

}  // namespace decoders

Image decode_image(std::string_view bytes, const std::string& name, const RegionOf& region,
                   const DecodeOptions& options) {
  if (bytes.empty()) throw DamagedImage(name + ": is empty");
  if (bytes.starts_with("\xff\xd8\xff")) return decoders::decode_jpeg(bytes, name, region, options);
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return decoders::decode_png(bytes, name, region, options);
  throw DamagedImage(name + ": is neither JPEG nor PNG; it begins with " + quote(bytes.substr(0, 8)));
}

}  // namespace seednorm::lab
