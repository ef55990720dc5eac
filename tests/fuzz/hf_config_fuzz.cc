// Any bytes are the config.json of a model or an error in one line; a model's own says the same again.
#include "lab/language/interop/hf_config.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  return or_one_line([&] {
    const auto written = hf_config(parse_hf_config(bytes_of(data, size), "file"), "float32");
    require(hf_config(parse_hf_config(written.dump(), "written"), "float32") == written);
  });
}
