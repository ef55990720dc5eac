// config.json of classifiers as timm has them on the Hugging Face Hub. Without libtorch.
#ifndef SEEDNORM_LAB_VISION_INTEROP_TIMM_JSON_H_
#define SEEDNORM_LAB_VISION_INTEROP_TIMM_JSON_H_

#include <nlohmann/json.hpp>

#include "lab/base/json_field.h"
#include "lab/vision/interop/classifier_json.h"

namespace seednorm::lab {

// timm's architecture and arguments, and under "seednorm" the norms, from which both can be made again.
// timm.create_model("local-dir:FOLDER") builds a model with LayerNorm from it; of ConvNeXt only those with
// four stages and a patch_size other than 2.
nlohmann::json image_model_json(const ImageModelConfig& config, const ImagePreprocessing& preprocessing);

bool is_timm_json(const nlohmann::json& config);
// Errors (UserError, std::invalid_argument): see parse_classifier, which calls these and then checks the
// model as a whole.
ImageModelConfig parse_timm(const JsonField& root);
ImagePreprocessing parse_timm_preprocessing(const JsonField& root);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_TIMM_JSON_H_
