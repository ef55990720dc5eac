// JSON as files for programs have it: shallow, and every key once.
#ifndef SEEDNORM_LAB_TENSORS_STRICT_JSON_H_
#define SEEDNORM_LAB_TENSORS_STRICT_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace seednorm::lab {

// As parse_json. Errors (UserError) also: arrays and objects nested deeper than max_depth, and a key that an
// object has twice, of which readers differ in which one they take.
nlohmann::json parse_strict_json(std::string_view text, const std::string& file, int max_depth);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TENSORS_STRICT_JSON_H_
