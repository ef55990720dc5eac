// Any bytes are pictures, or numbers, in an .npz file or an error in one line.
#include "lab/vision/eval/npz.h"

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  or_one_line([&] {
    const NpzNumbers numbers = parse_npz_numbers(bytes_of(data, size), "moments", "file");
    int64_t total = 1;
    for (const int64_t side : numbers.shape) total *= side;
    require(static_cast<int64_t>(numbers.values.size()) == total);
  });
  return or_one_line([&] {
    const NpzImages images = parse_npz(bytes_of(data, size), "file");
    require(static_cast<int64_t>(images.pixels.size()) == images.num * images.height * images.width * 3);
  });
}
