// Members of JSON that may be damaged: what is missing or of another type is empty.
#ifndef SEEDNORM_LAB_REPORT_FIELDS_H_
#define SEEDNORM_LAB_REPORT_FIELDS_H_

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace seednorm::lab {

inline std::string text_at(const nlohmann::ordered_json& value, const char* key) {
  const bool has = value.is_object() && value.contains(key) && value[key].is_string();
  return has ? value[key].get<std::string>() : "";
}

inline double number_at(const nlohmann::ordered_json& value, const char* key) {
  const bool has = value.is_object() && value.contains(key) && value[key].is_number();
  return has ? value[key].get<double>() : std::numeric_limits<double>::quiet_NaN();
}

inline nlohmann::ordered_json array_at(const nlohmann::ordered_json& value, const char* key) {
  const bool has = value.is_object() && value.contains(key) && value[key].is_array();
  return has ? value[key] : nlohmann::ordered_json::array();
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_FIELDS_H_
