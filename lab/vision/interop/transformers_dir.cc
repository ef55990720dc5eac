#include "lab/vision/interop/transformers_dir.h"

#include "lab/base/file.h"
#include "lab/vision/interop/config_fields.h"
#include "lab/vision/interop/image_model_dir.h"
#include "lab/vision/interop/stored_params.h"
#include "lab/vision/interop/transformers_json.h"
#include "lab/vision/interop/transformers_names.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

StoredNames vit_names() {
  return [](const std::string& param) -> std::vector<std::string> {
    if (const BlockParam b = block_param(param, "blocks."); !b.index.empty()) {
      return names_in_vit_layer("vit.encoder.layer." + b.index + ".", b.rest);
    }
    if (const std::string name = name_in_vit_embeddings(param); !name.empty()) return {name};
    if (param.starts_with("norm.")) return {"vit.layernorm." + param.substr(5)};
    return {"classifier" + param.substr(std::string("head").size())};
  };
}

// "stages.S.blocks.B.conv_dw.weight" and "stages.S.downsample.0.weight".
std::string convnext_stage_name(const BlockParam& stage) {
  const std::string prefix = "convnext.encoder.stages." + stage.index + ".", downsample = "downsample.";
  if (stage.rest.starts_with(downsample)) {
    return prefix + "downsampling_layer." + stage.rest.substr(downsample.size());
  }
  const BlockParam block = block_param(stage.rest, "blocks.");
  for (const auto& [ours, theirs] : {std::pair<std::string, std::string>{"conv_dw", "dwconv"},
                                     {"norm", "layernorm"},
                                     {"mlp.fc1", "pwconv1"},
                                     {"mlp.fc2", "pwconv2"},
                                     {"gamma", "layer_scale_parameter"}}) {
    if (block.rest.starts_with(ours)) {
      return prefix + "layers." + block.index + "." + theirs + block.rest.substr(ours.size());
    }
  }
  return prefix + stage.rest;
}

StoredNames convnext_names() {
  return [](const std::string& param) -> std::vector<std::string> {
    if (const BlockParam s = block_param(param, "stages."); !s.index.empty()) return {convnext_stage_name(s)};
    for (const auto& [ours, theirs] :
         {std::pair<std::string, std::string>{"stem.0", "convnext.embeddings.patch_embeddings"},
          {"stem.1", "convnext.embeddings.layernorm"},
          {"head.norm", "convnext.layernorm"},
          {"head.fc", "classifier"}}) {
      if (param.starts_with(ours)) return {theirs + param.substr(ours.size())};
    }
    return {param};
  };
}

StoredNames names_of(ImageFamily family) {
  return family == ImageFamily::k_vit ? vit_names() : convnext_names();
}

}  // namespace

void load_transformers_weights(ImageModel& model, const TensorMap& stored, const std::string& file) {
  // ViTModel's pooler, which its classifier does not use.
  const auto is_ignored = [](const std::string& tensor) { return tensor.starts_with("vit.pooler."); };
  load_stored(stored, model.state(), names_of(model.config().family), is_ignored, file);
}

void write_transformers_classifier(const ImageModel& model, const ImagePreprocessing& preprocessing,
                                   const fs::path& folder) {
  const ImageModelConfig& c = model.config();
  const nlohmann::json config = transformers_json(c);  // refuses before anything is written
  write_safetensors(folder / kImageWeightsFile, stored_sources(model.state(), names_of(c.family)));
  replace_file(folder / kProcessorFile, transformers_processor_json(c, preprocessing).dump(2) + "\n");
  replace_file(folder / kConfigFile, config.dump(2) + "\n");
}

}  // namespace seednorm::lab
