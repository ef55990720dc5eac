#include "lab/base/json_field.h"

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/file.h"

namespace seednorm::lab {
namespace {

const nlohmann::json kNull;

// Line and column of byte `position`, which counts from 1.
std::string place(std::string_view text, size_t position) {
  const std::string_view before = text.substr(0, position > 0 ? position - 1 : 0);
  const size_t line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // 0 if there is none
  return "line " + std::to_string(line) + ", column " + std::to_string(before.size() - line_start + 1);
}

[[noreturn]] void fail_depth(const std::string& file, int max_depth) {
  throw UserError(file + ": is nested deeper than " + std::to_string(max_depth) + " levels");
}

// The greatest depth of open brackets outside of strings. For a text that is not JSON it may be any number.
size_t json_depth(std::string_view text) {
  size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

// The path of a member. Keys that are not plain words are in quotes, since a message is one line.
std::string path_of(const std::string& parent, std::string_view key) {
  const bool is_plain = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; });
  return (parent.empty() ? "" : parent + ".") + (is_plain ? std::string(key) : quote(key));
}

template <class Json>
Json parse_as(std::string_view text, const std::string& file, int max_depth) {
  if (json_depth(text) > static_cast<size_t>(max_depth)) fail_depth(file, max_depth);
  try {
    return Json::parse(text);
  } catch (const typename Json::parse_error& error) {
    throw UserError(file + ": is not valid JSON at " + place(text, error.byte) +
                    (error.byte > text.size() ? " (the file ends early)" : ""));
  } catch (const typename Json::exception&) {  // a number out of range
    throw UserError(file + ": is not valid JSON: a number is out of range");
  }
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& file, int max_depth) {
  return parse_as<nlohmann::json>(text, file, max_depth);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file, int max_depth) {
  return parse_as<nlohmann::ordered_json>(text, file, max_depth);
}

nlohmann::ordered_json parse_json_or_null(std::string_view text) {
  try {
    return parse_ordered_json(text, "");
  } catch (const UserError&) {
    return nullptr;
  }
}

nlohmann::json read_json(const std::filesystem::path& file, size_t max_bytes) {
  return parse_json(read_file(file, max_bytes), file.string());
}

void check_toml_nesting(std::string_view text, const std::string& file, int max_depth) {
  const auto limit = static_cast<size_t>(max_depth);
  size_t brackets = 0, dots = 0;  // brackets that are open; dots since the last character that ends a key
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      // The first two of three quotes are an empty text.
      for (++i; i < text.size() && text[i] != c; ++i) {
        if (c == '"' && text[i] == '\\') ++i;
      }
    } else if (c == '#') {
      while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
    } else if (c == '.') {
      ++dots;
    } else if (c == '[' || c == '{') {
      ++brackets;
      dots = 0;
    } else if (c == ']' || c == '}') {
      if (brackets > 0) --brackets;
      dots = 0;
    } else if (c == '=' || c == ',' || c == '\n') {
      dots = 0;
    }
    if (brackets > limit || dots > limit) fail_depth(file, max_depth);
  }
}

JsonField JsonField::operator[](std::string_view key) const {
  const auto& members = object();
  const auto member = members.find(key);
  if (member == members.end()) fail("has no " + quote(key));
  return {*member, file_, path_of(path_, key)};
}

JsonField JsonField::operator[](size_t index) const {
  const auto& elements = array();
  if (index >= elements.size()) fail("has only " + std::to_string(elements.size()) + " elements");
  return {elements[index], file_, path_ + "[" + std::to_string(index) + "]"};
}

JsonField JsonField::find(std::string_view key) const {
  if (object().contains(key)) return (*this)[key];
  return {kNull, file_, path_of(path_, key)};
}

size_t JsonField::size() const {
  if (!value_->is_structured()) expected("an array or object");
  return value_->size();
}

const std::string& JsonField::string() const {
  if (!value_->is_string()) expected("a string");
  return value_->get_ref<const std::string&>();
}

int64_t JsonField::integer(int64_t min, int64_t max) const {
  const auto wanted = [&] {
    return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  };
  if (!value_->is_number_integer()) expected(wanted());
  if (value_->is_number_unsigned() && value_->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    expected(wanted());
  }
  const auto number = value_->get<int64_t>();
  if (number < min || number > max) expected(wanted());
  return number;
}

double JsonField::number() const {
  if (!value_->is_number()) expected("a number");
  return value_->get<double>();
}

bool JsonField::boolean() const {
  if (!value_->is_boolean()) expected("true or false");
  return value_->get<bool>();
}

const nlohmann::json& JsonField::array() const {
  if (!value_->is_array()) expected("an array");
  return *value_;
}

const nlohmann::json& JsonField::object() const {
  if (!value_->is_object()) expected("an object");
  return *value_;
}

void JsonField::fail(std::string_view what) const {
  throw UserError(file_ + ": " + (path_.empty() ? "" : path_ + ": ") + std::string(what));
}

void JsonField::expected(std::string_view what) const {
  std::string got = value_->is_structured()
                        ? value_->type_name()
                        : value_->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (got.size() > 60) got = got.substr(0, 60) + "...";
  fail("expected " + std::string(what) + ", got " + got);
}

}  // namespace seednorm::lab
