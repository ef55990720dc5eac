#include "lab/vision/interop/timm_json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "lab/vision/interop/config_fields.h"
#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {
namespace {

using namespace checks;
using Json = nlohmann::json;

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

ImageModelConfig config_of_architecture(const JsonField& field) {
  const std::string& name = field.string();
  ImageModelConfig out;
  for (const VitSize& size : kVits) {
    const std::string prefix = std::string(size.name) + "_patch";
    if (!name.starts_with(prefix)) continue;
    out.pool = Pooling::kToken;  // where no argument says otherwise
    out.dim = size.dim;
    out.num_layers = size.num_layers;
    out.num_heads = size.num_heads;
    out.ffn_dim = 4 * size.dim;
    out.patch_size = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), out.patch_size);
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
  field.fail("expected timm's vit_SIZE_patchN_M or convnext_SIZE (tiny, small, base, large), got " +
             quote(name));
}

// The hidden width of a block is floor(dim * mlp_ratio).
double mlp_ratio(const ImageModelConfig& c) {
  const double width = static_cast<double>(c.dim), hidden = static_cast<double>(c.ffn_dim);
  const double ratio = hidden / width;
  return std::floor(width * ratio) < hidden ? std::nextafter(ratio, std::numeric_limits<double>::infinity())
                                            : ratio;
}

Pooling pooling_in(const JsonField& field) {
  try {
    return pooling_of(field.string());
  } catch (const std::invalid_argument& e) {
    field.fail(e.what());
  }
}

// `ratio` is that of the hidden width, for the caller to apply once it knows the width.
void read_argument(ImageModelConfig& c, double& ratio, const JsonField& arguments, const std::string& key) {
  const bool is_vit = c.family == ImageFamily::k_vit;
  const JsonField value = arguments[key];
  if (key == "img_size" && is_vit) {
    c.image_size = value.integer(1, kMaxSide);
  } else if (key == "patch_size") {
    c.patch_size = value.integer(1, kMaxSide);
  } else if (key == "num_classes") {
    c.num_classes = value.integer(1, kMaxClasses);
  } else if (key == "embed_dim" && is_vit) {
    c.dim = value.integer(1, kMaxDim);
  } else if (key == "depth" && is_vit) {
    c.num_layers = value.integer(1, kMaxLayers);
  } else if (key == "num_heads" && is_vit) {
    c.num_heads = value.integer(1, kMaxDim);
  } else if (key == "mlp_ratio" && is_vit) {
    ratio = value.number();
  } else if (key == "global_pool" && is_vit) {
    c.pool = pooling_in(value);
  } else if (key == "global_pool" && value.string() == "avg") {
  } else if (key == "depths" && !is_vit) {
    c.stage_layers = integers(value, 1, kMaxLayers);
  } else if (key == "dims" && !is_vit) {
    c.stage_dims = integers(value, 1, kMaxDim);
  } else if (key == "ls_init_value" && !is_vit) {
    c.layer_scale = value.number();
  } else if (key == "drop_path_rate") {
    c.drop_path = value.number();
  } else {
    arguments.fail("no argument " + quote(key) + " of value " + short_text(arguments.object().at(key)) +
                   " is known for this model");
  }
}

void read_arguments(ImageModelConfig& c, const JsonField& arguments) {
  double ratio = mlp_ratio(c);
  for (const auto& [key, value] : arguments.object().items()) read_argument(c, ratio, arguments, key);
  const double hidden = std::floor(static_cast<double>(c.dim) * ratio);
  if (!(hidden >= 1 && hidden <= static_cast<double>(kMaxDim))) {
    arguments.find("mlp_ratio")
        .fail("expected a hidden width, embed_dim times it, from 1 to " + std::to_string(kMaxDim));
  }
  c.ffn_dim = static_cast<int64_t>(hidden);
}

// A side of the pictures, of [3, side, side].
int64_t side_in(const JsonField& input_size) {
  const std::vector<int64_t> sizes = integers(input_size, 1, kMaxSide);
  if (sizes.size() != 3 || sizes[0] != 3 || sizes[1] != sizes[2]) {
    input_size.fail("expected [3, N, N], of square pictures with three channels");
  }
  return sizes[1];
}

}  // namespace

Json image_model_json(const ImageModelConfig& c, const ImagePreprocessing& preprocessing) {
  const bool is_vit = c.family == ImageFamily::k_vit;
  Json arguments = {{"patch_size", c.patch_size}};
  if (is_vit) {
    arguments.update({{"img_size", c.image_size},
                      {"embed_dim", c.dim},
                      {"depth", c.num_layers},
                      {"num_heads", c.num_heads},
                      {"mlp_ratio", mlp_ratio(c)},
                      {"global_pool", name_of(c.pool)}});
  } else {
    arguments.update({{"depths", c.stage_layers}, {"dims", c.stage_dims}, {"ls_init_value", c.layer_scale}});
  }
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
          {"seednorm", {{"norms", norms_json(c.norms)}, {"norm_eps", c.norm_eps}}}};
}

bool is_timm_json(const Json& config) { return config.is_object() && config.contains("architecture"); }

ImageModelConfig parse_timm(const JsonField& root) {
  ImageModelConfig c = config_of_architecture(root["architecture"]);
  if (const JsonField cfg = root.find("pretrained_cfg"); !cfg.is_null()) {
    if (const JsonField size = cfg.find("input_size"); !size.is_null()) c.image_size = side_in(size);
  }
  c.num_classes = integer_or(root.find("num_classes"), 0, kMaxClasses, c.num_classes);
  if (const JsonField arguments = root.find("model_args"); !arguments.is_null()) read_arguments(c, arguments);
  if (const JsonField ours = root.find("seednorm"); !ours.is_null()) {
    if (const JsonField norms = ours.find("norms"); !norms.is_null()) read_norms(norms, c.norms);
    c.norm_eps = number_or(ours.find("norm_eps"), c.norm_eps);
  } else if (c.family == ImageFamily::k_convnext && c.patch_size == 2) {
    root.fail(
        "model_args: timm's ConvNeXt of patch_size 2 halves the sides before its first stage, too, which "
        "these models do not");
  }
  if (c.num_classes < 1) root.fail("num_classes: expected 1 or more");
  return c;
}

ImagePreprocessing parse_timm_preprocessing(const JsonField& root) {
  ImagePreprocessing out;
  const JsonField cfg = root.find("pretrained_cfg");
  if (cfg.is_null()) return out;
  read_normalization(cfg.find("mean"), cfg.find("std"), out.normalization);
  if (const JsonField part = cfg.find("crop_pct"); !part.is_null()) out.crop_part = crop_part_in(part);
  return out;
}

}  // namespace seednorm::lab
