// libjpeg reports errors by a function that must not return: here it jumps to `attempt`, past frames that own
// nothing.
#include <csetjmp>
#include <cstddef>
#include <cstdio>
// What the library's header needs stands before it.
#include <jpeglib.h>
// The numbers of its warnings.
#include <jerror.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "lab/vision/data/decode.h"

namespace seednorm::lab::decoders {
namespace {

// A file with more scans makes the decoder slow and no better.
constexpr int kMaxScans = 500;
// The smallest code of a block of 64 pixels has one bit. Arithmetic coding may go below.
constexpr int64_t kPixelsPerByte = 1024;

struct Decoder {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

Decoder& decoder_of(j_common_ptr info) { return *static_cast<Decoder*>(info->client_data); }

void stop(j_common_ptr info) {
  Decoder& decoder = decoder_of(info);
  decoder.errors.format_message(info, decoder.message);
  std::longjmp(decoder.jump, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace
  switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:  // bytes between segments do not touch the pixels
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      stop(info);
  }
}

void on_progress(j_common_ptr info) {
  if (!info->is_decompressor || reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans)
    return;
  Decoder& decoder = decoder_of(info);
  std::snprintf(decoder.message, sizeof decoder.message, "has more than %d scans", kMaxScans);
  std::longjmp(decoder.jump, 1);
}

// Runs `f`, which calls the library and owns nothing. False if that failed; then the message says why.
template <typename F>
bool attempt(Decoder& decoder, const F& f) {
  if (setjmp(decoder.jump) != 0) return false;
  f();
  return true;
}

class Jpeg {
 public:
  Jpeg(std::string_view bytes, const std::string& name, const DecodeOptions& options)
      : bytes_(bytes), name_(name) {
    jpeg_decompress_struct& info = decoder_.info;
    info.err = jpeg_std_error(&decoder_.errors);
    decoder_.errors.error_exit = stop;
    decoder_.errors.emit_message = on_message;
    decoder_.progress.progress_monitor = on_progress;
    run([&] {
      jpeg_create_decompress(&info);
      info.client_data = &decoder_;
      info.progress = &decoder_.progress;
      jpeg_save_markers(&info, JPEG_APP0 + 1, 0xffff);
      jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
      jpeg_read_header(&info, TRUE);
    });
    try {
      const int64_t per_byte = info.arith_code ? INT64_MAX : kPixelsPerByte;
      check_size(info.image_width, info.image_height, bytes.size(), per_byte, name, options);
      // The decoder is not asked for what lies below a region, so that a cut there would go unseen.
      if (bytes.substr(2).rfind("\xff\xd9") == std::string_view::npos)
        throw DamagedImage(name + ": ends early");
    } catch (...) {
      jpeg_destroy_decompress(&info);
      throw;
    }
  }
  ~Jpeg() { jpeg_destroy_decompress(&decoder_.info); }
  Jpeg(const Jpeg&) = delete;
  Jpeg& operator=(const Jpeg&) = delete;

  int width() const { return static_cast<int>(decoder_.info.image_width); }
  int height() const { return static_cast<int>(decoder_.info.image_height); }

  int orientation() const {
    for (auto* marker = decoder_.info.marker_list; marker != nullptr; marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      constexpr std::string_view kExif("Exif\0\0", 6);
      if (marker->marker == JPEG_APP0 + 1 && data.starts_with(kExif)) return exif_orientation(data.substr(6));
    }
    return 1;
  }

  Image read(const Rect& part) {
    const bool is_cmyk = decoder_.info.num_components == 4;
    decoder_.info.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    return is_cmyk ? read_cmyk(part) : read_rgb(part);
  }

 private:
  template <typename F>
  void run(const F& f) {
    if (attempt(decoder_, f)) return;
    const std::string message = decoder_.message;
    jpeg_destroy_decompress(&decoder_.info);  // a second time does nothing
    throw DamagedImage(name_ + ": is a damaged JPEG: " + message);
  }

  // Rows above are skipped and columns beside left out: their blocks are read but not transformed. A block
  // more on either side keeps the smooth upsampling of colours as it is in the whole.
  Image read_rgb(const Rect& part) {
    jpeg_decompress_struct& info = decoder_.info;
    run([&] { jpeg_start_decompress(&info); });
    const int block = 8 * info.max_h_samp_factor;
    const int begin = std::max(0, part.x - block), end = std::min(width(), part.x + part.width + block);
    JDIMENSION left = begin, columns = end - begin;
    if (columns < info.output_width) run([&] { jpeg_crop_scanline(&info, &left, &columns); });
    Image out(part.width, part.height);
    std::vector<uint8_t> line(size_t(columns) * 3);
    const size_t offset = (part.x - left) * size_t{3};
    run([&] {
      if (part.y > 0) jpeg_skip_scanlines(&info, part.y);
      for (int y = 0; y < part.height; ++y) {
        JSAMPROW row = columns == static_cast<JDIMENSION>(part.width) ? out.row(y) : line.data();
        jpeg_read_scanlines(&info, &row, 1);
        if (row == line.data()) std::memcpy(out.row(y), row + offset, out.row_bytes());
      }
    });
    return out;
  }

  // Adobe's programs write these inverted, and so does everybody since.
  Image read_cmyk(const Rect& part) {
    jpeg_decompress_struct& info = decoder_.info;
    run([&] { jpeg_start_decompress(&info); });
    Image out(part.width, part.height);
    std::vector<uint8_t> line(size_t(width()) * 4);
    run([&] {
      for (int y = 0; y < part.y + part.height; ++y) {
        JSAMPROW row = line.data();
        jpeg_read_scanlines(&info, &row, 1);
        if (y < part.y) continue;
        uint8_t* to = out.row(y - part.y);
        for (const uint8_t* from = row + part.x * 4; to < out.row(y - part.y) + out.row_bytes(); from += 4) {
          for (int c = 0; c < 3; ++c) *to++ = ink(from[c], from[3]);
        }
      }
    });
    return out;
  }

  // Pillow's: black minus the share of it that the colour takes, divided by 255 with rounding.
  static uint8_t ink(int inverted_colour, int inverted_black) {
    const int product = (255 - inverted_colour) * inverted_black + 128;
    return static_cast<uint8_t>(std::clamp(inverted_black - ((product + (product >> 8)) >> 8), 0, 255));
  }

  std::string_view bytes_;
  const std::string& name_;
  Decoder decoder_ = {};
};

}  // namespace

Image decode_jpeg(std::string_view bytes, const std::string& name, const RegionOf& region,
                  const DecodeOptions& options) {
  Jpeg jpeg(bytes, name, options);
  const int orientation = options.upright ? jpeg.orientation() : 1;
  if (orientation == 1) return jpeg.read(region_of(jpeg.width(), jpeg.height(), region));
  const Image image = turn_upright(jpeg.read({0, 0, jpeg.width(), jpeg.height()}), orientation);
  return copy_of(ImageView(image, region_of(image.width(), image.height(), region)));
}

}  // namespace seednorm::lab::decoders
