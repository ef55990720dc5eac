#include "lab/language/eval/token_list.h"

#include "lab/base/json_field.h"

namespace seednorm::lab {

std::vector<int64_t> parse_token_list(std::string_view text, const std::string& file, int64_t vocab_size) {
  const nlohmann::json json = parse_json(text, file);
  const JsonField list(json, file);
  std::vector<int64_t> out;
  for (size_t i = 0; i < list.array().size(); ++i) out.push_back(list[i].integer(0, vocab_size - 1));
  return out;
}

}  // namespace seednorm::lab
