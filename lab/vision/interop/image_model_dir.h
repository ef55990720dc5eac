// Classifiers in directories as timm has them on the Hugging Face Hub: config.json and model.safetensors.
// Those of Hugging Face's transformers are read, too.
#ifndef SEEDNORM_LAB_VISION_INTEROP_IMAGE_MODEL_DIR_H_
#define SEEDNORM_LAB_VISION_INTEROP_IMAGE_MODEL_DIR_H_

#include <filesystem>
#include <memory>
#include <string>

#include "lab/vision/interop/timm_json.h"
#include "lab/vision/models/image_model.h"

namespace seednorm::lab {

// Errors (UserError): see parse_classifier; the file is missing.
ImageModelFile read_image_model_file(const std::filesystem::path& folder);

inline constexpr const char* kImageWeightsFile = "model.safetensors";
// Errors (UserError): as above; a tensor that is missing, that the model does not have, or whose shape or
// dtype is not the model's.
std::shared_ptr<ImageModel> load_image_model(const std::filesystem::path& folder,
                                             const std::string& weights = kImageWeightsFile);
// The weights alone, with timm's names, for a model that is there already. Nothing is changed when it throws.
void load_image_weights(ImageModel& model, const std::filesystem::path& folder,
                        const std::string& weights = kImageWeightsFile);
// In a folder that exists (a checkpoint that is being written).
void write_image_model(const ImageModel& model, const ImagePreprocessing& preprocessing,
                       const std::filesystem::path& folder);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_INTEROP_IMAGE_MODEL_DIR_H_
