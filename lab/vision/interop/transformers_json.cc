#include "lab/vision/interop/transformers_json.h"

#include <cmath>

#include "lab/vision/interop/config_fields.h"
#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {
namespace {

using namespace checks;
using Json = nlohmann::json;

struct Class {
  const char *model_type, *name;
};
constexpr Class kVit = {"vit", "ViTForImageClassification"},
                kConvNext = {"convnext", "ConvNextForImageClassification"};
const Class& class_of(bool is_vit) { return is_vit ? kVit : kConvNext; }

constexpr double kConvNextEps = 1e-6;  // of all its norms but the last
constexpr double kDefaultEps = 1e-12;  // where config.json has none

void expect_class(const JsonField& root, const char* name) {
  const JsonField classes = root.find("architectures");
  if (classes.is_null() || classes.array().empty()) return;
  for (const Json& c : classes.array()) {
    if (c == name) return;
  }
  classes.fail(std::string("expected ") + name + ", got " + short_text(classes.array()));
}

// transformers leaves its default out.
int64_t num_labels(const JsonField& root) {
  const JsonField names = root.find("id2label");
  if (names.is_null()) return integer_or(root.find("num_labels"), 1, kMaxClasses, 2);
  if (names.object().empty()) names.fail("expected one label or more");
  return static_cast<int64_t>(names.size());
}

void read_vit(const JsonField& root, ImageModelConfig& c) {
  expect(root, "qkv_bias", true);
  c.pool = Pooling::kToken;
  c.dim = integer_or(root.find("hidden_size"), 1, kMaxDim, c.dim);
  c.num_layers = integer_or(root.find("num_hidden_layers"), 1, kMaxLayers, c.num_layers);
  c.num_heads = integer_or(root.find("num_attention_heads"), 1, kMaxDim, c.num_heads);
  c.ffn_dim = integer_or(root.find("intermediate_size"), 1, kMaxDim, c.ffn_dim);
}

void read_convnext(const JsonField& root, ImageModelConfig& c) {
  const JsonField dims = root.find("hidden_sizes"), layers = root.find("depths"),
                  layer_scale = root.find("layer_scale_init_value");
  c.stage_dims = dims.is_null() ? std::vector<int64_t>{96, 192, 384, 768} : integers(dims, 1, kMaxDim);
  c.stage_layers = layers.is_null() ? std::vector<int64_t>{3, 3, 9, 3} : integers(layers, 1, kMaxLayers);
  c.layer_scale = number_or(layer_scale, c.layer_scale);
  if (!(c.layer_scale > 0)) layer_scale.fail("expected more than 0; these models have a layer scale");
  c.drop_path = number_or(root.find("drop_path_rate"), c.drop_path);
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
        "mean over the patches, from which this model classifies; expected pool=token");
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

}  // namespace

bool is_transformers_json(const Json& config) {
  const Json type = config.is_object() ? config.value("model_type", Json()) : Json();
  return type == kVit.model_type || type == kConvNext.model_type;
}

ImageModelConfig parse_transformers(const JsonField& root) {
  ImageModelConfig c;
  const bool is_vit = root["model_type"].string() == kVit.model_type;
  expect_class(root, class_of(is_vit).name);
  expect(root, "hidden_act", "gelu");
  expect(root, "num_channels", 3);
  if (!is_vit) c.set_family(ImageFamily::k_convnext);
  c.image_size = integer_or(root.find("image_size"), 1, kMaxSide, c.image_size);
  c.patch_size = integer_or(root.find("patch_size"), 1, kMaxSide, is_vit ? 16 : 4);
  c.num_classes = num_labels(root);
  const double eps = number_or(root.find("layer_norm_eps"), kDefaultEps);
  if (is_vit) {
    read_vit(root, c);
    c.norm_eps = eps;
  } else {
    read_convnext(root, c);
    c.norm_eps = kConvNextEps;
    c.norms["head"].options.eps = eps;
  }
  return c;
}

ImagePreprocessing parse_transformers_processor(const JsonField& root, const ImageModelConfig& config) {
  constexpr int64_t kWholeFrom = 384;  // ConvNeXt's pictures of this size and above are not cropped
  const bool is_vit = config.family == ImageFamily::k_vit;
  ImagePreprocessing out = {.normalization = is_vit ? kSymmetricNormalization : kImageNetNormalization,
                            .crop_part = 1};
  read_normalization(root.find("image_mean"), root.find("image_std"), out.normalization);
  const JsonField part = root.find("crop_pct"), size = root.find("size");
  if (!part.is_null() && config.image_size < kWholeFrom) {
    out.crop_part = crop_part_in(part);
  } else if (flag_or(root.find("do_center_crop"), false) && root.object().value("size", Json()).is_object() &&
             !size.find("shortest_edge").is_null()) {
    out.crop_part = crop_part_of(size["shortest_edge"], config.image_size);
  }
  return out;
}

Json transformers_json(const ImageModelConfig& c) {
  const bool is_vit = c.family == ImageFamily::k_vit;
  Json out = is_vit ? vit_json(c) : convnext_json(c);
  out.update({{"architectures", {class_of(is_vit).name}},
              {"model_type", class_of(is_vit).model_type},
              {"image_size", c.image_size},
              {"patch_size", c.patch_size},
              {"num_channels", 3},
              {"hidden_act", "gelu"},
              {"num_labels", c.num_classes}});
  return out;
}

Json transformers_processor_json(const ImageModelConfig& c, const ImagePreprocessing& preprocessing) {
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

}  // namespace seednorm::lab
