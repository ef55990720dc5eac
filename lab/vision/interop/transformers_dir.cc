#include "lab/vision/interop/transformers_dir.h"

#include <cmath>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/vision/interop/stored_params.h"
#include "lab/vision/interop/transformers_names.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Class {
  const char *model_type, *name;
};
constexpr Class kVit = {"vit", "ViTForImageClassification"},
                kConvNext = {"convnext", "ConvNextForImageClassification"};
const Class& class_of(bool is_vit) { return is_vit ? kVit : kConvNext; }

constexpr double kConvNextEps = 1e-6;  // of all its norms but the last
constexpr double kDefaultEps = 1e-12;  // where config.json has none

void expect(const Json& json, const char* key, const Json& expected) {
  const Json found = json.value(key, expected);
  if (found != expected) {
    throw UserError(std::string(key) + ": expected " + expected.dump() + ", got " + found.dump());
  }
}

void expect_class(const Json& json, const char* name) {
  const Json classes = json.value("architectures", Json());
  if (!classes.is_array() || classes.empty()) return;
  for (const Json& c : classes) {
    if (c == name) return;
  }
  throw UserError(std::string("architectures: expected ") + name + ", got " + classes.dump());
}

// transformers leaves its default out.
int64_t num_labels(const Json& json) {
  if (json.contains("id2label")) return static_cast<int64_t>(json.at("id2label").size());
  return json.value("num_labels", int64_t{2});
}

// The part of a picture's short side that is cropped, so that floor(size / part) is `short_side` again.
double crop_part(int64_t size, int64_t short_side) {
  if (short_side <= size) return 1;
  const double part = static_cast<double>(size) / static_cast<double>(short_side);
  const bool falls_short = std::floor(static_cast<double>(size) / part) < static_cast<double>(short_side);
  return falls_short ? std::nextafter(part, 0.0) : part;
}

ImagePreprocessing preprocessing_of(const Json& json, bool is_vit, int64_t size) {
  constexpr int64_t kWholeFrom = 384;  // ConvNeXt's pictures of this size and above are not cropped
  ImagePreprocessing out = {.normalization = is_vit ? kSymmetricNormalization : kImageNetNormalization,
                            .crop_part = 1};
  for (int c = 0; c < 3; ++c) {
    if (json.contains("image_mean")) out.normalization.mean[c] = json.at("image_mean").at(c).get<float>();
    if (json.contains("image_std")) out.normalization.std[c] = json.at("image_std").at(c).get<float>();
  }
  const Json sides = json.value("size", Json());
  if (json.contains("crop_pct") && size < kWholeFrom) {
    out.crop_part = json.at("crop_pct").get<double>();
  } else if (json.value("do_center_crop", false) && sides.is_object() && sides.contains("shortest_edge")) {
    out.crop_part = crop_part(size, sides.at("shortest_edge").get<int64_t>());
  }
  if (!(out.crop_part > 0 && out.crop_part <= 1)) {
    throw UserError("preprocessor_config.json: crop_pct: expected more than 0, at most 1");
  }
  return out;
}

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

// The eps of a site's LayerNorm.
double layer_norm_eps(const ImageModelConfig& c, const std::string& site) {
  const NormSpec spec = c.norms[site].with_eps(c.norm_eps);
  NormSpec layer_norm = NormSpec::parse("layer_norm");
  layer_norm.options.eps = spec.options.eps;
  if (spec.text() != layer_norm.text()) {
    throw UserError("norm." + site + ": " + class_of(c.family == ImageFamily::k_vit).name +
                    " of transformers has layer_norm, this model " + spec.text());
  }
  return spec.options.eps;
}

void expect_eps(const std::string& site, double eps, double expected) {
  if (eps == expected) return;
  throw UserError("norm." + site + ": in transformers the eps of this norm is " + Json(expected).dump() +
                  ", in this model " + Json(eps).dump());
}

Json vit_json(const ImageModelConfig& c) {
  if (c.pool != Pooling::kToken) {
    throw UserError(
        "pool: transformers' ViT classifies from the class token of its last norm, and has no norm of the "
        "mean "
        "over the patches, from which this model classifies; expected pool=token");
  }
  const double eps = layer_norm_eps(c, "block");
  expect_eps("head", layer_norm_eps(c, "head"), eps);
  return {{"hidden_size", c.dim},
          {"num_hidden_layers", c.num_layers},
          {"num_attention_heads", c.num_heads},
          {"intermediate_size", c.ffn_dim},
          {"hidden_dropout_prob", 0.0},
          {"attention_probs_dropout_prob", 0.0},
          {"qkv_bias", true},
          {"layer_norm_eps", eps}};
}

Json convnext_json(const ImageModelConfig& c) {
  for (const char* site : {"stem", "downsample", "block"}) {
    expect_eps(site, layer_norm_eps(c, site), kConvNextEps);
  }
  // A model that is made with 0 would have no layer scale; it is only its initial value.
  const double layer_scale = c.layer_scale > 0 ? c.layer_scale : ImageModelConfig().layer_scale;
  return {{"num_stages", c.stage_dims.size()}, {"hidden_sizes", c.stage_dims},
          {"depths", c.stage_layers},          {"layer_scale_init_value", layer_scale},
          {"drop_path_rate", c.drop_path},     {"layer_norm_eps", layer_norm_eps(c, "head")}};
}

Json config_json(const ImageModelConfig& c) {
  const bool is_vit = c.family == ImageFamily::k_vit;
  Json out = is_vit ? vit_json(c) : convnext_json(c);
  Json labels = Json::object(), ids = Json::object();
  for (int64_t i = 0; i < c.num_classes; ++i) {
    const std::string name = "LABEL_" + std::to_string(i);
    labels[std::to_string(i)] = name;
    ids[name] = i;
  }
  out.update({{"architectures", {class_of(is_vit).name}},
              {"model_type", class_of(is_vit).model_type},
              {"image_size", c.image_size},
              {"patch_size", c.patch_size},
              {"num_channels", 3},
              {"hidden_act", "gelu"},
              {"id2label", labels},
              {"label2id", ids}});
  return out;
}

// transformers' processor that scales the short side and crops the center, whatever the model.
Json processor_json(const ImageModelConfig& c, const ImagePreprocessing& preprocessing) {
  constexpr int kBicubic = 3;
  const double short_side = std::floor(static_cast<double>(c.image_size) / preprocessing.crop_part);
  return {{"image_processor_type", "BitImageProcessor"},
          {"do_convert_rgb", true},
          {"do_resize", true},
          {"size", {{"shortest_edge", static_cast<int64_t>(short_side)}}},
          {"resample", kBicubic},
          {"do_center_crop", true},
          {"crop_size", {{"height", c.image_size}, {"width", c.image_size}}},
          {"do_rescale", true},
          {"rescale_factor", 1.0 / 255},
          {"do_normalize", true},
          {"image_mean", preprocessing.normalization.mean},
          {"image_std", preprocessing.normalization.std}};
}

}  // namespace

bool is_transformers_classifier(const Json& config) {
  const Json type = config.is_object() ? config.value("model_type", Json()) : Json();
  return type == kVit.model_type || type == kConvNext.model_type;
}

ImageModelFile parse_transformers_classifier(const Json& json, const Json& processor) {
  ImageModelFile out;
  ImageModelConfig& c = out.config;
  const bool is_vit = json.at("model_type") == kVit.model_type;
  expect_class(json, class_of(is_vit).name);
  expect(json, "hidden_act", "gelu");
  expect(json, "num_channels", 3);
  if (!is_vit) c.set_family(ImageFamily::k_convnext);
  c.image_size = json.value("image_size", c.image_size);
  c.patch_size = json.value("patch_size", is_vit ? int64_t{16} : int64_t{4});
  c.num_classes = num_labels(json);
  const double eps = json.value("layer_norm_eps", kDefaultEps);
  if (is_vit) {
    expect(json, "qkv_bias", true);
    c.pool = Pooling::kToken;
    c.dim = json.value("hidden_size", c.dim);
    c.num_layers = json.value("num_hidden_layers", c.num_layers);
    c.num_heads = json.value("num_attention_heads", c.num_heads);
    c.ffn_dim = json.value("intermediate_size", c.ffn_dim);
    c.norm_eps = eps;
  } else {
    c.stage_dims = json.value("hidden_sizes", std::vector<int64_t>{96, 192, 384, 768});
    c.stage_layers = json.value("depths", std::vector<int64_t>{3, 3, 9, 3});
    c.layer_scale = json.value("layer_scale_init_value", c.layer_scale);
    if (!(c.layer_scale > 0)) {
      throw UserError("layer_scale_init_value: expected more than 0; these models have a layer scale");
    }
    c.drop_path = json.value("drop_path_rate", c.drop_path);
    c.norm_eps = kConvNextEps;
    c.norms["head"].options.eps = eps;
  }
  out.preprocessing = preprocessing_of(processor, is_vit, c.image_size);
  c.check();
  return out;
}

void load_transformers_weights(ImageModel& model, const TensorMap& stored, const std::string& file) {
  // ViTModel's pooler, which its classifier does not use.
  const auto is_ignored = [](const std::string& tensor) { return tensor.starts_with("vit.pooler."); };
  load_stored(stored, model.state(), names_of(model.config().family), is_ignored, file);
}

void write_transformers_classifier(const ImageModel& model, const ImagePreprocessing& preprocessing,
                                   const fs::path& folder) {
  const ImageModelConfig& c = model.config();
  const Json config = config_json(c);  // refuses before anything is written
  write_safetensors(folder / kImageWeightsFile, stored_sources(model.state(), names_of(c.family)));
  replace_file(folder / "preprocessor_config.json", processor_json(c, preprocessing).dump(2) + "\n");
  replace_file(folder / "config.json", config.dump(2) + "\n");
}

}  // namespace seednorm::lab
