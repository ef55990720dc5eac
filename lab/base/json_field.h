// Reads JSON from other programs. An access to a member that is not as expected throws a UserError that says
// where it is, "FILE: model.merges[3]: what is wrong".
#ifndef SEEDNORM_LAB_BASE_JSON_FIELD_H_
#define SEEDNORM_LAB_BASE_JSON_FIELD_H_

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace seednorm::lab {

// The limit of nesting: writing and copying JSON recurse, so the depth of a file must be bounded.
constexpr int kMaxJsonDepth = 100;

// Parses JSON; all JSON files of the lab are read by these functions. `file` names the source in errors. Any
// bytes are safe. Errors (UserError): invalid JSON; arrays and objects nested deeper than max_depth.
nlohmann::json parse_json(std::string_view text, const std::string& file, int max_depth = kMaxJsonDepth);
// The same, but the members of objects keep the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file,
                                          int max_depth = kMaxJsonDepth);
// The same, but null instead of an error.
nlohmann::ordered_json parse_json_or_null(std::string_view text);
// Parses a file of at most max_bytes.
nlohmann::json read_json(const std::filesystem::path& file, size_t max_bytes);

// Checks a text in TOML before it is parsed, since parsers recurse over the parts of a key such as a.b.c.
// Errors (UserError): brackets, or the parts of a key, nested deeper than max_depth.
void check_toml_nesting(std::string_view text, const std::string& file, int max_depth = kMaxJsonDepth);

// A JSON value and its path in the file. It refers to the value, which must outlive it.
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string file) : value_(&value), file_(std::move(file)) {}

  JsonField operator[](std::string_view key) const;  // a member that must exist
  JsonField operator[](size_t index) const;
  // A member, or null if the object does not have it.
  JsonField find(std::string_view key) const;

  bool is_null() const { return value_->is_null(); }
  bool is_string() const { return value_->is_string(); }
  size_t size() const;  // of an array or object

  const std::string& string() const;
  int64_t integer(int64_t min, int64_t max) const;
  double number() const;
  bool boolean() const;
  const nlohmann::json& array() const;
  const nlohmann::json& object() const;

  [[noreturn]] void fail(std::string_view what) const;

 private:
  JsonField(const nlohmann::json& value, std::string file, std::string path)
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}
  [[noreturn]] void expected(std::string_view what) const;

  const nlohmann::json* value_;
  std::string file_, path_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_JSON_FIELD_H_
