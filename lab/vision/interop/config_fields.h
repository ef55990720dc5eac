// What the readers and writers of config.json share. Without libtorch.
#ifndef SEEDNORM_LAB_VISION_INTEROP_CONFIG_FIELDS_H_
#define SEEDNORM_LAB_VISION_INTEROP_CONFIG_FIELDS_H_

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "lab/base/error.h"
#include "lab/base/json_field.h"
#include "lab/nn/norm_sites.h"

namespace seednorm::lab {

inline constexpr const char *kConfigFile = "config.json", *kProcessorFile = "preprocessor_config.json";

// The text of a file of a model directory. Errors (UserError): it is missing, or larger than such files are.
std::string read_config_text(const std::filesystem::path& file);
// JSON without keys that appear twice. Errors (UserError).
nlohmann::json parse_config_json(std::string_view text, const std::string& file);

// Calls read(JsonField) with the root of a config.json. Errors (UserError, "FILE: field: what is wrong"):
// what `read` throws as that or as std::invalid_argument.
template <class Read>
auto read_config(std::string_view text, const std::string& file, const Read& read) {
  const nlohmann::json json = parse_config_json(text, file);
  try {
    return read(JsonField(json, file));
  } catch (const std::invalid_argument& e) {
    throw UserError(file + ": " + e.what());
  }
}

// A field that may be missing or null. Errors (UserError): another type, or out of range.
int64_t integer_or(const JsonField& field, int64_t least, int64_t most, int64_t otherwise);
double number_or(const JsonField& field, double otherwise);
bool flag_or(const JsonField& field, bool otherwise);
// Errors (UserError): not an array of at most 64 whole numbers from `least` to `most`.
std::vector<int64_t> integers(const JsonField& field, int64_t least, int64_t most);

// A value for messages, as ASCII text of limited length.
std::string short_text(const nlohmann::json& value);
// Errors (UserError): the object has the member, and with another value.
void expect(const JsonField& root, const char* key, const nlohmann::json& expected);

// {"block": "seed_norm(num_heads=4)", ...}. Errors (UserError): no such site, or no such norm.
void read_norms(const JsonField& norms, NormSites& out);
nlohmann::json norms_json(const NormSites& norms);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_CONFIG_FIELDS_H_
