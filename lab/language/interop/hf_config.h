// config.json of a model directory, as Hugging Face writes it for Olmo2ForCausalLM and OlmoeForCausalLM.
//
// Settings that these do not have are in one object:
//   "seednorm": {"norm": {"block": "seed_norm(num_heads=4)", "qk": "rms_norm", "output": "rms_norm"},
//                "qk_norm": "head" or "all", "frac_rate": 0, "embedding_scale": false,
//                "norm_placement": "peri", "norm_depth_scaling": true}    the last two only if they are set
// A model with this object is not one of Hugging Face's. Its model_type is seednorm_olmo2 or seednorm_olmoe,
// so that no other program mistakes it for one and silently drops what it does not know.
#ifndef SEEDNORM_LAB_LANGUAGE_INTEROP_HF_CONFIG_H_
#define SEEDNORM_LAB_LANGUAGE_INTEROP_HF_CONFIG_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lab/language/models/config.h"

namespace seednorm::lab {

// Whether transformers can load this model: RMSNorm everywhere, with the model's eps, over all heads at once,
// and at the family's own places, plain residuals.
bool is_hugging_face(const ModelConfig& config);

// `dtype` is that of the stored weights: "float32", "bfloat16", "float16". Ids of special tokens are null.
nlohmann::json hf_config(const ModelConfig& config, const std::string& dtype);

// The model of a config.json, the inverse of hf_config. Norms have the model's eps explicitly.
// Errors (UserError, "FILE: field: what is wrong"): not JSON, not one of these models, a field missing or out
// of range, something that this program does not compute (RoPE scaling, biases, clip_qkv, ...).
ModelConfig parse_hf_config(std::string_view text, const std::string& file);
ModelConfig read_hf_config(const std::filesystem::path& folder);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_INTEROP_HF_CONFIG_H_
