// config.json and preprocessor_config.json of classifiers of Hugging Face's transformers:
// ViTForImageClassification, which classifies from the class token, and ConvNextForImageClassification.
// Without libtorch.
#ifndef SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_JSON_H_
#define SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_JSON_H_

#include <nlohmann/json.hpp>

#include "lab/base/json_field.h"
#include "lab/vision/interop/preprocessing.h"
#include "lab/vision/models/config.h"

namespace seednorm::lab {

bool is_transformers_json(const nlohmann::json& config);

// Errors (UserError, std::invalid_argument): see parse_classifier, which calls these and then checks the
// model as a whole; another class of model, another activation, no biases of queries, keys and values, no
// layer scale.
ImageModelConfig parse_transformers(const JsonField& root);
// The fields of preprocessor_config.json, which may all be missing.
ImagePreprocessing parse_transformers_processor(const JsonField& root, const ImageModelConfig& config);

// Errors (UserError): transformers has no such model: norms other than LayerNorm, a ViT that classifies from
// the mean over the patches, eps other than its own.
nlohmann::json transformers_json(const ImageModelConfig& config);
// transformers' processor that scales the short side and crops the center, whatever the model.
nlohmann::json transformers_processor_json(const ImageModelConfig& config,
                                           const ImagePreprocessing& preprocessing);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_TRANSFORMERS_JSON_H_
