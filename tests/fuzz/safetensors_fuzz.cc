// Any bytes are a safetensors file or an error in one line.
#include "lab/tensors/safetensors_header.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  return or_one_line([&] {
    size_t total = 0;
    for (const auto& tensor : parse_safetensors(bytes_of(data, size), "file")) {
      require(tensor.offset <= size && tensor.bytes <= size - tensor.offset);
      total += tensor.bytes;
    }
    require(total <= size);
  });
}
