// Reads members of JSON that may be damaged; a member that is missing or of another type is empty. Writes
// numbers.
#ifndef SEEDNORM_LAB_REPORT_FIELDS_H_
#define SEEDNORM_LAB_REPORT_FIELDS_H_

#include <nlohmann/json.hpp>
#include <string>

namespace seednorm::lab {

std::string text_at(const nlohmann::ordered_json& value, const char* key);
double number_at(const nlohmann::ordered_json& value, const char* key);  // NaN if it is not a number
nlohmann::ordered_json array_at(const nlohmann::ordered_json& value, const char* key);
nlohmann::ordered_json object_at(const nlohmann::ordered_json& value, const char* key);

// Finite numbers keep `digits` significant digits, so that the page is small; others are null.
nlohmann::ordered_json rounded(double value, int digits = 6);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_FIELDS_H_
