// Any bytes are the config.json of a model or an error in one line; a model's own says the same again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lab/base/error.h"
#include "lab/interop/hf_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  try {
    const ModelConfig config = parse_hf_config({reinterpret_cast<const char*>(data), size}, "file");
    const auto written = hf_config(config, "float32");
    if (hf_config(parse_hf_config(written.dump(), "written"), "float32") != written) std::abort();
  } catch (const UserError& error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
  }
  return 0;
}
