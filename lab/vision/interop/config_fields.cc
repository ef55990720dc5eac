#include "lab/vision/interop/config_fields.h"

#include "lab/base/file.h"
#include "lab/tensors/strict_json.h"

namespace seednorm::lab {

using Json = nlohmann::json;

std::string read_config_text(const std::filesystem::path& file) {
  constexpr size_t kMaxBytes = size_t{64} << 20;  // the names of 20,000 classes take megabytes
  return read_file(file, kMaxBytes);
}

Json parse_config_json(std::string_view text, const std::string& file) {
  constexpr int kMaxDepth = 16;
  return parse_strict_json(text, file, kMaxDepth);
}

int64_t integer_or(const JsonField& field, int64_t least, int64_t most, int64_t otherwise) {
  return field.is_null() ? otherwise : field.integer(least, most);
}

double number_or(const JsonField& field, double otherwise) {
  return field.is_null() ? otherwise : field.number();
}

bool flag_or(const JsonField& field, bool otherwise) { return field.is_null() ? otherwise : field.boolean(); }

std::vector<int64_t> integers(const JsonField& field, int64_t least, int64_t most) {
  constexpr size_t kMaxCount = 64;
  const size_t count = field.array().size();
  if (count > kMaxCount) {
    field.fail("expected at most " + std::to_string(kMaxCount) + " numbers, got " + std::to_string(count));
  }
  std::vector<int64_t> out;
  for (size_t i = 0; i < count; ++i) out.push_back(field[i].integer(least, most));
  return out;
}

std::string short_text(const Json& value) {
  constexpr size_t kMaxBytes = 60;
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  return text.size() > kMaxBytes ? text.substr(0, kMaxBytes) + "..." : text;
}

void expect(const JsonField& root, const char* key, const Json& expected) {
  const Json found = root.object().value(key, expected);
  if (found == expected) return;
  root.fail(std::string(key) + ": expected " + expected.dump() + ", got " + short_text(found));
}

void read_norms(const JsonField& norms, NormSites& out) {
  for (const auto& [site, text] : norms.object().items()) {
    const JsonField field = norms[site];
    try {
      out[site] = NormSpec::parse(field.string());
    } catch (const std::invalid_argument& e) {
      field.fail(e.what());
    }
  }
}

Json norms_json(const NormSites& norms) {
  Json out = Json::object();
  for (const auto& [site, spec] : norms) out[site.name] = spec.text();
  return out;
}

}  // namespace seednorm::lab
