#include "lab/report/fields.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

const Json* member(const Json& value, const char* key) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(key);
  return found == value.end() ? nullptr : &*found;
}

}  // namespace

std::string text_at(const Json& value, const char* key) {
  const Json* found = member(value, key);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}

double number_at(const Json& value, const char* key) {
  const Json* found = member(value, key);
  return found != nullptr && found->is_number() ? found->get<double>()
                                                : std::numeric_limits<double>::quiet_NaN();
}

Json array_at(const Json& value, const char* key) {
  const Json* found = member(value, key);
  return found != nullptr && found->is_array() ? *found : Json::array();
}

Json object_at(const Json& value, const char* key) {
  const Json* found = member(value, key);
  return found != nullptr && found->is_object() ? *found : Json::object();
}

Json rounded(double value, int digits) {
  if (!std::isfinite(value)) return nullptr;
  if (value == std::floor(value) && std::fabs(value) < 1e15) return static_cast<int64_t>(value);
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return std::strtod(text, nullptr);
}

}  // namespace seednorm::lab
