// JSON with limited nesting and unique keys.
#ifndef SEEDNORM_LAB_TENSORS_STRICT_JSON_H_
#define SEEDNORM_LAB_TENSORS_STRICT_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace seednorm::lab {

// Like parse_json, with further errors (UserError): arrays and objects nested deeper than max_depth, and a
// duplicate key in an object, of which different readers would use different values.
nlohmann::json parse_strict_json(std::string_view text, const std::string& file, int max_depth);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TENSORS_STRICT_JSON_H_
