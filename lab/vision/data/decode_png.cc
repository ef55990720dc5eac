// libpng reports errors by a function that must not return: here it jumps to `attempt`, past frames that own
// nothing.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "lab/vision/data/decode.h"

namespace seednorm::lab::decoders {
namespace {

// Deflate makes at most 1,032 bytes of one, and a byte is at most 8 pixels.
constexpr int64_t kPixelsPerByte = 1032 * 8;

class Png {
 public:
  Png(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png_, this, on_read);
    // What is not the picture is not looked at: texts and profiles may unpack to anything, and for EXIF
    // data some versions allocate what a chunk states.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_chunk_malloc_max(png_, 8 << 20);
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);  // ours is on their product
  }
  ~Png() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;

  // Both throw DamagedImage.
  void read_header() {
    run([this] { png_read_info(png_, info_); });
  }
  Image read_pixels() {
    run([this] {
      png_set_expand_gray_1_2_4_to_8(png_);
      png_set_palette_to_rgb(png_);
      png_set_strip_16(png_);
      png_set_strip_alpha(png_);
      png_set_gray_to_rgb(png_);
      num_passes_ = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
    Image out(width(), height());
    if (png_get_rowbytes(png_, info_) != out.row_bytes()) {
      throw DamagedImage(name_ + ": is a PNG of a kind that is not known");
    }
    run([&] {
      for (int pass = 0; pass < num_passes_; ++pass) {
        for (int y = 0; y < out.height(); ++y) png_read_row(png_, out.row(y), nullptr);
      }
      png_read_end(png_, info_);
    });
    return out;
  }

  int width() const { return static_cast<int>(png_get_image_width(png_, info_)); }
  int height() const { return static_cast<int>(png_get_image_height(png_, info_)); }
  int bits_per_pixel() const { return png_get_bit_depth(png_, info_) * png_get_channels(png_, info_); }

  // Of the chunk eXIf. Chunks are a length, a name of four letters, so many bytes and a checksum.
  int orientation() const {
    for (std::string_view rest = bytes_.substr(8); rest.size() >= 12;) {
      size_t size = 0;
      for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(rest[i]);
      if (size > rest.size() - 12) break;
      if (rest.substr(4, 4) == "eXIf") return exif_orientation(rest.substr(8, size));
      rest.remove_prefix(12 + size);
    }
    return 1;
  }

 private:
  static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<Png*>(png_get_error_ptr(png));
    std::snprintf(self->message_, sizeof self->message_, "%s", message);
    std::longjmp(self->jump_, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void on_read(png_structp png, png_bytep out, size_t size) {
    auto* self = static_cast<Png*>(png_get_io_ptr(png));
    if (self->bytes_.size() - self->position_ < size) png_error(png, "ends early");
    std::memcpy(out, self->bytes_.data() + self->position_, size);
    self->position_ += size;
  }

  template <typename F>
  bool attempt(const F& f) {
    if (setjmp(jump_) != 0) return false;
    f();
    return true;
  }
  template <typename F>
  void run(const F& f) {
    if (!attempt(f)) throw DamagedImage(name_ + ": is a damaged PNG: " + message_);
  }

  std::string_view bytes_;
  const std::string& name_;
  size_t position_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int num_passes_ = 1;
  std::jmp_buf jump_;
  char message_[200] = {};
};

}  // namespace

Image decode_png(std::string_view bytes, const std::string& name, const RegionOf& region,
                 const DecodeOptions& options) {
  Png png(bytes, name);
  png.read_header();
  check_size(png.width(), png.height(), bytes.size(),
             std::max<int64_t>(1, kPixelsPerByte / png.bits_per_pixel()), name, options);
  Image image = png.read_pixels();
  const int orientation = options.upright ? png.orientation() : 1;
  if (orientation != 1) image = turn_upright(image, orientation);
  const Rect part = region_of(image.width(), image.height(), region);
  if (part == whole_image(image.width(), image.height())) return image;
  return copy_of(ImageView(image, part));
}

}  // namespace seednorm::lab::decoders
