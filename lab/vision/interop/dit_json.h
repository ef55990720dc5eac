// config.json of DiTs: ours, and that of DiTTransformer2DModel of Hugging Face's diffusers. Without libtorch,
// so that it can be tested and fuzzed alone.
#ifndef SEEDNORM_LAB_VISION_INTEROP_DIT_JSON_H_
#define SEEDNORM_LAB_VISION_INTEROP_DIT_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "lab/vision/models/dit_config.h"

namespace seednorm::lab {

// What a DiT was trained with that sampling needs to know.
struct DitFile {
  DitConfig config;
  int64_t diffusion_steps = 1000;
  bool is_diffusers = false;  // and not ours: the names of the weights follow from it
};

// config.json of our directories.
nlohmann::json dit_json(const DitFile& file);
// That of diffusers. Errors (UserError): a model that diffusers does not have: norms other than LayerNorm,
// another hidden width than 4 dim, frequencies of timesteps as in DiT's own code.
nlohmann::json diffusers_json(const DitFile& file);

bool is_dit_json(const nlohmann::json& config);
// Reads both. Errors (UserError, "FILE: field: what is wrong"): not JSON, another kind of model, a value out
// of range.
DitFile parse_dit(std::string_view text, const std::string& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_DIT_JSON_H_
