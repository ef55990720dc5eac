// Any bytes are a list of token ids or an error in one line.
#include "lab/language/eval/token_list.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  return or_one_line([&] {
    for (const int64_t id : parse_token_list(bytes_of(data, size), "file", 1000))
      require(id >= 0 && id < 1000);
  });
}
