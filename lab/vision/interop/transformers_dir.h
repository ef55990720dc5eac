// Classifiers in directories of Hugging Face's transformers: ViTForImageClassification, which classifies from
// the class token, and ConvNextForImageClassification.
#ifndef SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_DIR_H_
#define SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_DIR_H_

#include <filesystem>

#include "lab/tensors/safetensors.h"
#include "lab/vision/interop/preprocessing.h"
#include "lab/vision/models/image_model.h"

namespace seednorm::lab {

// Copies the tensors of a file with the names of transformers. Errors (UserError): see load_stored.
void load_transformers_weights(ImageModel& model, const TensorMap& stored, const std::string& file);

// config.json, preprocessor_config.json and model.safetensors, in a folder that exists. Errors (UserError):
// see transformers_json.
void write_transformers_classifier(const ImageModel& model, const ImagePreprocessing& preprocessing,
                                   const std::filesystem::path& folder);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_DIR_H_
