// Any bytes are a tokens.json or an error in one line; what it says is written as the same again.
#include "lab/language/data/token_set.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  return or_one_line([&] {
    const auto written = TokenSetInfo::parse(bytes_of(data, size), "file").to_json();
    require(TokenSetInfo::parse(written.dump(), "written").to_json() == written);
  });
}
