// DiTs in directories: ours have the names of DiT's own checkpoints, and those of Hugging Face's diffusers
// (DiTTransformer2DModel) are read too.
#ifndef SEEDNORM_LAB_VISION_INTEROP_DIT_DIR_H_
#define SEEDNORM_LAB_VISION_INTEROP_DIT_DIR_H_

#include <filesystem>
#include <memory>

#include "lab/vision/interop/dit_json.h"
#include "lab/vision/models/dit.h"

namespace seednorm::lab {

// Errors (UserError): see parse_dit; the file is missing.
DitFile read_dit_file(const std::filesystem::path& folder);

// Errors (UserError): as above; see load_stored; a model of diffusers whose blocks differ in labels or
// timesteps, of which a DiT has one set.
std::shared_ptr<Dit> load_dit(const std::filesystem::path& folder);
// The weights alone, of one of our directories, for a model that is there already: "model.safetensors", or
// "average.safetensors" of a checkpoint. Nothing is changed when it throws.
void load_dit_weights(Dit& model, const std::filesystem::path& file);
// config.json and model.safetensors, in a folder that exists (a checkpoint that is being written).
void write_dit(const Dit& model, int64_t diffusion_steps, const std::filesystem::path& folder);
// As diffusers' DiTTransformer2DModel: config.json and diffusion_pytorch_model.safetensors. Errors
// (UserError): see diffusers_json.
void write_diffusers_dit(const Dit& model, int64_t diffusion_steps, const std::filesystem::path& folder);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_DIT_DIR_H_
