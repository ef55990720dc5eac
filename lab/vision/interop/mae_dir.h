// Masked autoencoders in directories as Hugging Face's transformers has them (ViTMAEForPreTraining).
#ifndef SEEDNORM_LAB_VISION_INTEROP_MAE_DIR_H_
#define SEEDNORM_LAB_VISION_INTEROP_MAE_DIR_H_

#include <filesystem>
#include <memory>

#include "lab/vision/interop/mae_json.h"
#include "lab/vision/models/image_model.h"
#include "lab/vision/models/mae.h"

namespace seednorm::lab {

// Errors (UserError): see parse_mae; the file is missing.
MaeConfig read_mae_config(const std::filesystem::path& folder);

// Errors (UserError): as above, and see load_stored; positions other than the fixed ones of MAE.
std::shared_ptr<Mae> load_mae(const std::filesystem::path& folder);
// The weights alone, for a model that is there already. Nothing is changed when it throws.
void load_mae_weights(Mae& model, const std::filesystem::path& folder);
// config.json and model.safetensors, in a folder that exists (a checkpoint that is being written). With
// LayerNorm transformers reads them.
void write_mae(const Mae& model, const std::filesystem::path& folder);

// For fine-tuning, copies the encoder of the masked autoencoder in `folder` to a ViT: patch embedding, class
// token, blocks and the fixed positions, which the ViT goes on to train. The ViT's norm of the mean and its
// head stay as they are, and the encoder's last norm is left out. Nothing is changed when it throws. Errors
// (UserError): as load_mae; an encoder of other sizes or norms, whose dropout alone may differ.
void load_encoder(ImageModel& vit, const std::filesystem::path& folder);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_MAE_DIR_H_
