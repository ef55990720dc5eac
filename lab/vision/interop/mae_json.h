// config.json of masked autoencoders, which is that of ViTMAEForPreTraining of Hugging Face's transformers.
// Without libtorch, so that it can be tested and fuzzed alone.
#ifndef SEEDNORM_LAB_VISION_INTEROP_MAE_JSON_H_
#define SEEDNORM_LAB_VISION_INTEROP_MAE_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lab/vision/models/mae_config.h"

namespace seednorm::lab {

// What transformers reads, and under "seednorm" the norms.
nlohmann::json mae_json(const MaeConfig& config);

bool is_mae_json(const nlohmann::json& config);
// Errors (UserError, "FILE: field: what is wrong"): not JSON, another kind of model, an activation other than
// gelu, no biases of queries, keys and values, a value out of range.
MaeConfig parse_mae(std::string_view text, const std::string& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_MAE_JSON_H_
