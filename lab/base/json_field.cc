#include "lab/base/json_field.h"

#include <algorithm>

#include "lab/base/error.h"

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

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& file) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw UserError(file + ": is not valid JSON at " + place(text, error.byte) +
                    (error.byte > text.size() ? " (the file ends early)" : ""));
  } catch (const nlohmann::json::exception&) {  // a number out of range
    throw UserError(file + ": is not valid JSON: a number is out of range");
  }
}

JsonField JsonField::operator[](std::string_view key) const {
  const auto& members = object();
  const auto member = members.find(key);
  if (member == members.end()) fail("has no \"" + std::string(key) + "\"");
  return {*member, file_, path_.empty() ? std::string(key) : path_ + "." + std::string(key)};
}

JsonField JsonField::operator[](size_t index) const {
  const auto& elements = array();
  if (index >= elements.size()) fail("has only " + std::to_string(elements.size()) + " elements");
  return {elements[index], file_, path_ + "[" + std::to_string(index) + "]"};
}

JsonField JsonField::find(std::string_view key) const {
  if (object().contains(key)) return (*this)[key];
  return {kNull, file_, path_.empty() ? std::string(key) : path_ + "." + std::string(key)};
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
