// Any bytes are a picture or an error in one line; a part of it has the pixels of the whole.
#include "lab/vision/data/decode.h"

#include <cstring>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  const DecodeOptions options{.max_pixels = 1 << 20};
  return or_one_line([&] {
    const Image whole = decode_image(bytes_of(data, size), "file", whole_image, options);
    const Rect part{whole.width() / 3, whole.height() / 4, (whole.width() + 2) / 3, (whole.height() + 1) / 2};
    const Image got = decode_image(
        bytes_of(data, size), "file", [&](int, int) { return part; }, options);
    const Image expected = copy_of(ImageView(whole, part));
    require(got.bytes().size() == expected.bytes().size());
    require(std::memcmp(got.bytes().data(), expected.bytes().data(), got.bytes().size()) == 0);
  });
}
