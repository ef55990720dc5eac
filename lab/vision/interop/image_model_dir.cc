#include "lab/vision/interop/image_model_dir.h"

#include <ATen/Functions.h>

#include <array>
#include <cmath>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/tensors/safetensors.h"
#include "lab/tensors/strict_json.h"
#include "lab/vision/interop/stored_params.h"
#include "lab/vision/interop/transformers_dir.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kConfigFile = "config.json";
constexpr int kMaxDepth = 16;

// Architectures of timm whose arguments need not stand in the file.
struct VitSize {
  const char* name;
  int64_t dim, num_layers, num_heads;
};
constexpr VitSize kVits[] = {{"vit_tiny", 192, 12, 3},
                             {"vit_small", 384, 12, 6},
                             {"vit_base", 768, 12, 12},
                             {"vit_large", 1024, 24, 16}};
struct ConvNextSize {
  const char* name;
  std::array<int64_t, 4> layers, dims;
};
constexpr ConvNextSize kConvNexts[] = {{"convnext_tiny", {3, 3, 9, 3}, {96, 192, 384, 768}},
                                       {"convnext_small", {3, 3, 27, 3}, {96, 192, 384, 768}},
                                       {"convnext_base", {3, 3, 27, 3}, {128, 256, 512, 1024}},
                                       {"convnext_large", {3, 3, 27, 3}, {192, 384, 768, 1536}}};

ImageModelConfig config_of_architecture(const std::string& name) {
  ImageModelConfig out;
  for (const VitSize& size : kVits) {
    const std::string prefix = std::string(size.name) + "_patch";
    if (!name.starts_with(prefix)) continue;
    out.dim = size.dim;
    out.num_layers = size.num_layers;
    out.num_heads = size.num_heads;
    out.ffn_dim = 4 * size.dim;
    out.patch_size = std::atoll(name.c_str() + prefix.size());
    return out;
  }
  for (const ConvNextSize& size : kConvNexts) {
    if (name != size.name) continue;
    out.set_family(ImageFamily::k_convnext);
    out.stage_layers = {size.layers.begin(), size.layers.end()};
    out.stage_dims = {size.dims.begin(), size.dims.end()};
    out.patch_size = 4;
    return out;
  }
  throw UserError(
      "architecture: expected timm's vit_SIZE_patchN_M or convnext_SIZE (tiny, small, base, large), got " +
      quote(name));
}

void read_argument(ImageModelConfig& c, double& ratio, const std::string& key, const Json& value) {
  const bool is_vit = c.family == ImageFamily::k_vit;
  if (key == "img_size" && is_vit) {
    c.image_size = value.get<int64_t>();
  } else if (key == "patch_size") {
    c.patch_size = value.get<int64_t>();
  } else if (key == "num_classes") {
    c.num_classes = value.get<int64_t>();
  } else if (key == "embed_dim" && is_vit) {
    c.dim = value.get<int64_t>();
  } else if (key == "depth" && is_vit) {
    c.num_layers = value.get<int64_t>();
  } else if (key == "num_heads" && is_vit) {
    c.num_heads = value.get<int64_t>();
  } else if (key == "mlp_ratio" && is_vit) {
    ratio = value.get<double>();
  } else if (key == "global_pool" && is_vit) {
    c.pool = pooling_of(value.get<std::string>());
  } else if (key == "global_pool" && value == "avg") {
  } else if (key == "depths" && !is_vit) {
    c.stage_layers = value.get<std::vector<int64_t>>();
  } else if (key == "dims" && !is_vit) {
    c.stage_dims = value.get<std::vector<int64_t>>();
  } else if (key == "ls_init_value" && !is_vit) {
    c.layer_scale = value.get<double>();
  } else if (key == "drop_path_rate") {
    c.drop_path = value.get<double>();
  } else {
    throw UserError("model_args: no argument " + quote(key) + " of value " + value.dump() +
                    " is known for this model");
  }
}

Normalization normalization_of(const Json& pretrained) {
  Normalization out = kImageNetNormalization;
  for (int c = 0; c < 3; ++c) {
    if (pretrained.contains("mean")) out.mean[c] = pretrained.at("mean").at(c).get<float>();
    if (pretrained.contains("std")) out.std[c] = pretrained.at("std").at(c).get<float>();
  }
  return out;
}

ImageModelFile parse_timm(const Json& json) {
  ImageModelFile out;
  ImageModelConfig& c = out.config;
  c = config_of_architecture(json.at("architecture").get<std::string>());
  const Json pretrained = json.value("pretrained_cfg", Json::object());
  if (pretrained.contains("input_size")) c.image_size = pretrained.at("input_size").at(1).get<int64_t>();
  if (json.contains("num_classes")) c.num_classes = json.at("num_classes").get<int64_t>();
  double ratio = static_cast<double>(c.ffn_dim) / static_cast<double>(c.dim);
  const Json arguments = json.value("model_args", Json::object());
  if (c.family == ImageFamily::k_vit) c.pool = Pooling::kToken;  // where no argument says otherwise
  for (const auto& [key, value] : arguments.items()) read_argument(c, ratio, key, value);
  c.ffn_dim = static_cast<int64_t>(std::floor(static_cast<double>(c.dim) * ratio));
  out.preprocessing.normalization = normalization_of(pretrained);
  out.preprocessing.crop_part = pretrained.value("crop_pct", out.preprocessing.crop_part);
  const Json ours = json.value("seednorm", Json::object());
  const Json norms = ours.value("norms", Json::object());
  for (const auto& [site, text] : norms.items()) {
    c.norms[site] = NormSpec::parse(text.get<std::string>());
  }
  c.norm_eps = ours.value("norm_eps", c.norm_eps);
  if (c.family == ImageFamily::k_convnext && c.patch_size == 2 && ours.empty()) {
    throw UserError(
        "model_args: timm's ConvNeXt of patch_size 2 halves the sides before its first stage, too, which "
        "these "
        "models do not");
  }
  if (c.num_classes < 1) throw UserError("num_classes: expected 1 or more");
  c.check();
  return out;
}

Json read_json(const fs::path& file) {
  return parse_strict_json(read_file(file, size_t{1} << 20), file.string(), kMaxDepth);
}

ImageModelFile parse_config(const Json& json, const fs::path& folder) {
  if (is_transformers_classifier(json)) {
    const fs::path processor = folder / "preprocessor_config.json";
    return parse_transformers_classifier(json, fs::exists(processor) ? read_json(processor) : Json::object());
  }
  if (json.is_object() && json.contains("architecture")) return parse_timm(json);
  throw UserError(
      "expected timm's \"architecture\", or transformers' \"model_type\" of vit or convnext; this is no "
      "classifier");
}

// Our names are timm's.
std::vector<std::string> own_name(const std::string& param) { return {param}; }

}  // namespace

Json image_model_json(const ImageModelConfig& c, const ImagePreprocessing& preprocessing) {
  const bool is_vit = c.family == ImageFamily::k_vit;
  Json arguments = {{"patch_size", c.patch_size}};
  if (is_vit) {
    arguments.update({{"img_size", c.image_size},
                      {"embed_dim", c.dim},
                      {"depth", c.num_layers},
                      {"num_heads", c.num_heads},
                      {"mlp_ratio", static_cast<double>(c.ffn_dim) / static_cast<double>(c.dim)},
                      {"global_pool", name_of(c.pool)}});
  } else {
    arguments.update({{"depths", c.stage_layers}, {"dims", c.stage_dims}, {"ls_init_value", c.layer_scale}});
  }
  Json norms = Json::object();
  for (const auto& [site, spec] : c.norms) norms[site.name] = spec.text();
  const Normalization& n = preprocessing.normalization;
  return {{"architecture", is_vit ? "vit_base_patch16_224" : "convnext_base"},
          {"num_classes", c.num_classes},
          {"num_features", is_vit ? c.dim : c.stage_dims.back()},
          {"global_pool", name_of(c.pool)},
          {"model_args", arguments},
          {"pretrained_cfg",
           {{"input_size", {3, c.image_size, c.image_size}},
            {"fixed_input_size", is_vit},
            {"interpolation", "bicubic"},
            {"crop_pct", preprocessing.crop_part},
            {"crop_mode", "center"},
            {"mean", n.mean},
            {"std", n.std},
            {"num_classes", c.num_classes},
            {"pool_size", nullptr},
            {"first_conv", is_vit ? "patch_embed.proj" : "stem.0"},
            {"classifier", is_vit ? "head" : "head.fc"}}},
          {"seednorm", {{"norms", norms}, {"norm_eps", c.norm_eps}}}};
}

bool is_image_model_dir(const fs::path& folder) {
  const fs::path file = folder / kConfigFile;
  if (!fs::exists(file)) return false;
  const Json json = read_json(file);
  return is_transformers_classifier(json) || (json.is_object() && json.contains("architecture"));
}

ImageModelFile read_image_model_file(const fs::path& folder) {
  const std::string file = (folder / kConfigFile).string();
  const Json json = read_json(file);
  try {
    return parse_config(json, folder);
  } catch (const Json::exception& e) {
    throw UserError(file + ": not the configuration of a classifier: " + e.what());
  } catch (const std::invalid_argument& e) {
    throw UserError(file + ": " + e.what());
  } catch (const UserError& e) {
    throw UserError(file + ": " + e.what());
  }
}

void load_image_weights(ImageModel& model, const fs::path& folder, const std::string& weights) {
  const fs::path file = folder / weights;
  const auto ignore_none = [](const std::string&) { return false; };
  load_stored(read_safetensors(file), model.state(), own_name, ignore_none, file.string());
}

std::shared_ptr<ImageModel> load_image_model(const fs::path& folder, const std::string& weights) {
  auto model = make_image_model(read_image_model_file(folder).config);
  if (is_transformers_classifier(read_json(folder / kConfigFile))) {
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
