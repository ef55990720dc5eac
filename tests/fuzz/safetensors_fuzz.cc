// Any bytes are a safetensors file or an error in one line.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lab/base/error.h"
#include "lab/interop/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  try {
    size_t total = 0;
    for (const auto& tensor : seednorm::lab::parse_safetensors(file, "file")) {
      if (tensor.offset > size || tensor.bytes > size - tensor.offset) std::abort();
      total += tensor.bytes;
    }
    if (total > size) std::abort();
  } catch (const seednorm::lab::UserError& error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
  }
  return 0;
}
