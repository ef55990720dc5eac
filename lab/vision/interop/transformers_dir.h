// Classifiers in directories of Hugging Face's transformers: ViTForImageClassification, which classifies from
// the class token, and ConvNextForImageClassification.
#ifndef SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_DIR_H_
#define SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_DIR_H_

#include <filesystem>
#include <nlohmann/json.hpp>

#include "lab/tensors/safetensors.h"
#include "lab/vision/interop/image_model_dir.h"

namespace seednorm::lab {

// Whether config.json is of one of these models.
bool is_transformers_classifier(const nlohmann::json& config);

// From config.json and preprocessor_config.json, which may be an empty object. Errors (UserError): another
// class of model, another activation, no biases of queries, keys and values, no layer scale.
// (nlohmann::json::exception): members of another type.
ImageModelFile parse_transformers_classifier(const nlohmann::json& config, const nlohmann::json& processor);

// Copies the tensors of a file with the names of transformers. Errors (UserError): see load_stored.
void load_transformers_weights(ImageModel& model, const TensorMap& stored, const std::string& file);

// config.json, preprocessor_config.json and model.safetensors, in a folder that exists. Errors (UserError):
// transformers has no such model: norms other than LayerNorm, a ViT that classifies from the mean over the
// patches, eps other than its own.
void write_transformers_classifier(const ImageModel& model, const ImagePreprocessing& preprocessing,
                                   const std::filesystem::path& folder);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_DIR_H_
