// Sets that hold their pictures as plain pixels: CIFAR's binary version and IDX.
#ifndef SEEDNORM_LAB_VISION_DATA_RAW_IMAGES_H_
#define SEEDNORM_LAB_VISION_DATA_RAW_IMAGES_H_

#include <string>
#include <string_view>
#include <vector>

#include "lab/vision/data/image.h"

namespace seednorm::lab {

struct RawImages {
  int width = 0, height = 0, channels = 0;  // of each; 1 or 3 planes, one behind the other
  std::string pixels;
  std::vector<int> labels;

  size_t image_bytes() const { return size_t(width) * height * channels; }
};

// All take `file` for errors, and throw UserError if the bytes are not what they should be.

// Appends the records of a CIFAR file: `label_bytes` labels (1; or 2, of which the last counts) and 32 x 32
// pixels in three planes. Labels are below `num_classes`.
void append_cifar(std::string_view bytes, int label_bytes, int num_classes, const std::string& file,
                  RawImages& images);

// A pair of IDX files of unsigned bytes: pictures [n, height, width], and labels [n].
RawImages parse_idx(std::string_view pictures, const std::string& pictures_file, std::string_view labels,
                    const std::string& labels_file);

// What gzip packed; other bytes are as they are. At most max_bytes.
std::string unpack_gzip(std::string_view bytes, size_t max_bytes, const std::string& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_RAW_IMAGES_H_
