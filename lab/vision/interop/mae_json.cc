#include "lab/vision/interop/mae_json.h"

#include "lab/vision/interop/config_fields.h"
#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {
namespace {

using namespace checks;
using Json = nlohmann::json;

constexpr const char* kModelType = "vit_mae";
constexpr double kDefaultEps = 1e-12;  // what transformers takes if it is not there

MaeConfig read_mae(const JsonField& root) {
  // A classifier's configuration in timm's layout has none.
  if (!is_mae_json(root.object())) {
    root.fail(std::string("model_type: expected \"") + kModelType + "\", got " +
              short_text(root.object().value("model_type", Json())));
  }
  expect(root, "hidden_act", "gelu");
  expect(root, "qkv_bias", true);
  expect(root, "num_channels", 3);
  MaeConfig c;
  const auto read = [&](const char* key, int64_t most, int64_t& value) {
    value = integer_or(root.find(key), 1, most, value);
  };
  read("image_size", kMaxSide, c.image_size);
  read("patch_size", kMaxSide, c.patch_size);
  read("hidden_size", kMaxDim, c.dim);
  read("num_hidden_layers", kMaxLayers, c.num_layers);
  read("num_attention_heads", kMaxDim, c.num_heads);
  read("intermediate_size", kMaxDim, c.ffn_dim);
  read("decoder_hidden_size", kMaxDim, c.decoder_dim);
  read("decoder_num_hidden_layers", kMaxLayers, c.decoder_layers);
  read("decoder_num_attention_heads", kMaxDim, c.decoder_heads);
  read("decoder_intermediate_size", kMaxDim, c.decoder_ffn_dim);
  c.mask_ratio = number_or(root.find("mask_ratio"), c.mask_ratio);
  c.normalize_pixels = flag_or(root.find("norm_pix_loss"), false);
  c.norm_eps = number_or(root.find("layer_norm_eps"), kDefaultEps);
  if (const JsonField ours = root.find("seednorm"); !ours.is_null()) {
    if (const JsonField norms = ours.find("norms"); !norms.is_null()) read_norms(norms, c.norms);
  }
  c.check();
  return c;
}

}  // namespace

Json mae_json(const MaeConfig& c) {
  return {{"architectures", {"ViTMAEForPreTraining"}},
          {"model_type", kModelType},
          {"image_size", c.image_size},
          {"patch_size", c.patch_size},
          {"num_channels", 3},
          {"hidden_size", c.dim},
          {"num_hidden_layers", c.num_layers},
          {"num_attention_heads", c.num_heads},
          {"intermediate_size", c.ffn_dim},
          {"decoder_hidden_size", c.decoder_dim},
          {"decoder_num_hidden_layers", c.decoder_layers},
          {"decoder_num_attention_heads", c.decoder_heads},
          {"decoder_intermediate_size", c.decoder_ffn_dim},
          {"hidden_act", "gelu"},
          {"hidden_dropout_prob", 0.0},
          {"attention_probs_dropout_prob", 0.0},
          {"qkv_bias", true},
          {"mask_ratio", c.mask_ratio},
          {"norm_pix_loss", c.normalize_pixels},
          {"layer_norm_eps", c.norm_eps},
          {"seednorm", {{"norms", norms_json(c.norms)}}}};
}

bool is_mae_json(const Json& config) {
  return config.is_object() && config.value("model_type", Json()) == kModelType;
}

MaeConfig parse_mae(std::string_view text, const std::string& file) {
  return read_config(text, file, read_mae);
}

}  // namespace seednorm::lab
