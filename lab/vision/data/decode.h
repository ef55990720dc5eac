// JPEG and PNG to pixels.
#ifndef SEEDNORM_LAB_VISION_DATA_DECODE_H_
#define SEEDNORM_LAB_VISION_DATA_DECODE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "lab/vision/data/image.h"

namespace seednorm::lab {

struct DecodeOptions {
  // Larger images are refused before anything is allocated for them. The default is Pillow's.
  int64_t max_pixels = 178'956'970;
  // Whether an image is turned as its EXIF data say. timm and torchvision do not, people's viewers do.
  bool upright = true;
};

// The part of a picture that `region` asks for, which gets the size after turning; the pixels are those of a
// decoding of the whole. They are what Pillow's convert("RGB") gives: gray in three equal channels, CMYK by
// Adobe's convention, palettes looked up, alpha left out, of 16 bits the upper 8 (of gray images too, which
// Pillow clips). `name` stands in errors. Throws DamagedImage, "NAME: what is wrong", if the bytes are no
// JPEG or PNG, end early, are damaged in what was read, hold more pixels than the limit, or state a size that
// so few bytes cannot hold.
Image decode_image(std::string_view bytes, const std::string& name, const RegionOf& region = whole_image,
                   const DecodeOptions& options = {});

namespace decoders {  // the parts of decode_image

// As decode_image, for bytes that begin as a JPEG or PNG does.
Image decode_jpeg(std::string_view bytes, const std::string& name, const RegionOf& region,
                  const DecodeOptions& options);
Image decode_png(std::string_view bytes, const std::string& name, const RegionOf& region,
                 const DecodeOptions& options);

// Of a TIFF block as in EXIF data: 1 to 8, and 1 where it does not say.
int exif_orientation(std::string_view tiff);
// Turns a picture that was stored with this orientation.
Image turn_upright(const Image& image, int orientation);

// Throws DamagedImage unless the image may be allocated: its sides are positive, within the limit, and not
// more pixels than `num_bytes` can hold at `pixels_per_byte`.
void check_size(int64_t width, int64_t height, size_t num_bytes, int64_t pixels_per_byte,
                const std::string& name, const DecodeOptions& options);
// What `region` wants of an image of this size. Throws std::logic_error if that is not inside.
Rect region_of(int width, int height, const RegionOf& region);

}  // namespace decoders
}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_DECODE_H_
