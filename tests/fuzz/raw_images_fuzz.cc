// Any bytes are CIFAR records, a pair of IDX files (cut in two where the first byte says) or gzip's, or
// an error in one line.
#include "lab/vision/data/raw_images.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  if (size == 0) return 0;
  const std::string_view bytes = bytes_of(data + 1, size - 1);
  const auto check = [](const RawImages& images, int num_classes) {
    require(images.pixels.size() == images.labels.size() * images.image_bytes());
    for (const int label : images.labels) require(label >= 0 && label < num_classes);
  };
  or_one_line([&] {
    RawImages images;
    append_cifar(bytes, 1 + data[0] % 2, 10, "file", images);
    check(images, 10);
  });
  or_one_line([&] {
    const size_t cut = std::min<size_t>(bytes.size(), 16 + data[0]);
    check(parse_idx(bytes.substr(0, cut), "pictures", bytes.substr(cut), "labels"), 256);
  });
  return or_one_line([&] { require(unpack_gzip(bytes, 1 << 20, "file").size() <= 1 << 20); });
}
