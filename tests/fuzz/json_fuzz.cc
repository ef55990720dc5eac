// Any bytes are JSON that can be copied and written, or an error in one line; and no TOML passes the check of
// its nesting that a recursive parser would not bear.
#include "lab/base/json_field.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  const std::string_view text = bytes_of(data, size);
  or_one_line([&] { check_toml_nesting(text, "file"); });
  return or_one_line([&] {
    const nlohmann::json json = parse_json(text, "file");
    const std::string written = json.dump();
    require(parse_json(written, "written") == json);
    require(!parse_json_or_null(text).is_discarded());
  });
}
