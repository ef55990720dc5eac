// Pictures and files of them that tests make.
#ifndef SEEDNORM_TESTS_LAB_VISION_DATA_PICTURES_H_
#define SEEDNORM_TESTS_LAB_VISION_DATA_PICTURES_H_

#include <cstddef>
#include <cstdio>
// What the library's header needs stands before it.
#include <jpeglib.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "lab/vision/data/encode_png.h"
#include "lab/vision/data/image.h"

namespace seednorm::lab {

// Waves and an edge in three colours, of which each seed has others.
inline Image made_up(int width, int height, int seed = 0) {
  Image image(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const double wave = std::sin(x * (0.11 + 0.03 * c) + y * (0.07 + 0.01 * seed) + seed);
        image.row(y)[x * 3 + c] = static_cast<uint8_t>((x + y + seed) % 23 < 4 ? 40 * c : 127 + 120 * wave);
      }
    }
  }
  return image;
}

// 4:2:0, quality 90.
inline std::string encode_jpeg(const Image& image) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = image.width();
  info.image_height = image.height();
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 90, TRUE);
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < image.height(); ++y) {
    auto* row = const_cast<JSAMPROW>(image.row(y));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string out(reinterpret_cast<char*>(data), size);
  std::free(data);
  return out;
}

inline std::string text_of(const Image& image) {
  return {reinterpret_cast<const char*>(image.bytes().data()), image.bytes().size()};
}

// A member of a tar archive, header and padded bytes.
inline std::string tar_member(const std::string& name, const std::string& bytes, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  char size[12];
  std::snprintf(size, sizeof size, "%011zo", bytes.size());
  header.replace(124, 11, size);
  header[156] = type;
  header.replace(257, 8, std::string("ustar\00000", 8));
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06o", sum);
  header.replace(148, 7, std::string(digits, 7));
  return header + bytes + std::string((512 - bytes.size() % 512) % 512, '\0');
}
inline const std::string kTarEnd(1024, '\0');

}  // namespace seednorm::lab

#endif  // SEEDNORM_TESTS_LAB_VISION_DATA_PICTURES_H_
