// Reads JSON that others wrote: each access says where it stands and throws UserError,
// "FILE: model.merges[3]: what is wrong", when something is not as expected.
#ifndef SEEDNORM_LAB_BASE_JSON_FIELD_H_
#define SEEDNORM_LAB_BASE_JSON_FIELD_H_

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace seednorm::lab {

// Writing and copying JSON recurse, so that what others wrote must not be nested without bound.
constexpr int kMaxJsonDepth = 100;

// The one way in which the lab reads JSON that is in a file. `file` names the source in errors. Any bytes are
// safe. Errors (UserError): what is not JSON, and arrays and objects nested deeper than max_depth.
nlohmann::json parse_json(std::string_view text, const std::string& file, int max_depth = kMaxJsonDepth);
// The same with the members of objects in the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file,
                                          int max_depth = kMaxJsonDepth);
// Null where parse_ordered_json throws.
nlohmann::ordered_json parse_json_or_null(std::string_view text);
// The JSON of a file of at most max_bytes.
nlohmann::json read_json(const std::filesystem::path& file, size_t max_bytes);

// For a text in TOML before it is parsed, since parsers recurse over the parts of a key such as a.b.c. Errors
// (UserError): brackets, or the parts of a key, nested deeper than max_depth.
void check_toml_nesting(std::string_view text, const std::string& file, int max_depth = kMaxJsonDepth);

// A value and its place. It refers to the JSON value, which must outlive it.
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string file) : value_(&value), file_(std::move(file)) {}

  JsonField operator[](std::string_view key) const;  // a member that must exist
  JsonField operator[](size_t index) const;
  // A member; null if there is none.
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
