#include "lab/vision/interop/image_model_dir.h"

#include "lab/base/file.h"
#include "lab/tensors/safetensors.h"
#include "lab/vision/interop/config_fields.h"
#include "lab/vision/interop/stored_params.h"
#include "lab/vision/interop/transformers_dir.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

// Our names are timm's.
std::vector<std::string> own_name(const std::string& param) { return {param}; }

}  // namespace

ImageModelFile read_image_model_file(const fs::path& folder) {
  const fs::path config = folder / kConfigFile, processor = folder / kProcessorFile;
  return parse_classifier({read_config_text(config), config.string()},
                          {fs::exists(processor) ? read_config_text(processor) : "", processor.string()});
}

void load_image_weights(ImageModel& model, const fs::path& folder, const std::string& weights) {
  const fs::path file = folder / weights;
  const auto ignore_none = [](const std::string&) { return false; };
  load_stored(read_safetensors(file), model.state(), own_name, ignore_none, file.string());
}

std::shared_ptr<ImageModel> load_image_model(const fs::path& folder, const std::string& weights) {
  const ImageModelFile config = read_image_model_file(folder);
  auto model = make_image_model(config.config);
  if (config.is_transformers) {
    const fs::path file = folder / weights;
    load_transformers_weights(*model, read_safetensors(file), file.string());
  } else {
    load_image_weights(*model, folder, weights);
  }
  return model;
}

void write_image_model(const ImageModel& model, const ImagePreprocessing& preprocessing,
                       const fs::path& folder) {
  write_safetensors(folder / kImageWeightsFile, stored_sources(model.state(), own_name));
  replace_file(folder / kConfigFile, image_model_json(model.config(), preprocessing).dump(2) + "\n");
}

}  // namespace seednorm::lab
