#include "lab/vision/interop/mae_dir.h"

#include <ATen/Functions.h>

#include <sstream>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/vision/interop/config_fields.h"
#include "lab/vision/interop/stored_params.h"
#include "lab/vision/interop/transformers_names.h"
#include "lab/vision/nn/sincos_positions.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kPositions = "vit.embeddings.position_embeddings";
constexpr const char* kDecoderPositions = "decoder.decoder_pos_embed";

// `decoder_layers`: some versions of transformers write other names for the decoder's than they read.
StoredNames stored_names(const std::string& decoder_layers) {
  return [decoder_layers](const std::string& param) -> std::vector<std::string> {
    if (const BlockParam b = block_param(param, "blocks."); !b.index.empty()) {
      return names_in_vit_layer("vit.encoder.layer." + b.index + ".", b.rest);
    }
    if (const BlockParam b = block_param(param, "decoder_blocks."); !b.index.empty()) {
      return names_in_vit_layer(decoder_layers + b.index + ".", b.rest);
    }
    if (const std::string name = name_in_vit_embeddings(param); !name.empty()) return {name};
    if (param.starts_with("norm.")) return {"vit.layernorm." + param.substr(5)};
    return {"decoder." + param};  // mask_token, decoder_embed, decoder_norm, decoder_pred
  };
}

constexpr const char* kDecoderLayers = "decoder.decoder_layers.";
constexpr const char* kOtherDecoderLayers = "decoder.decoder_encoder.layer.";

// [1, 1 + L, D]: the class token's is 0.
Tensor stored_positions(int64_t dim, const MaeConfig& c) {
  const Tensor patches = sincos_positions(dim, c.image_size / c.patch_size);
  return at::cat({at::zeros({1, dim}), patches}).unsqueeze(0);
}

// Files may leave positions out. Errors (UserError): others than the model's.
void check_positions(const TensorMap& stored, const char* name, const Tensor& expected,
                     const std::string& file) {
  constexpr double kBound = 4e-3;  // sines and cosines in bfloat16
  const auto found = stored.find(name);
  if (found == stored.end()) return;
  const Tensor& positions = found->second;
  if (positions.sizes() == expected.sizes() &&
      (positions.to(at::kFloat) - expected).abs().max().item<double>() <= kBound) {
    return;
  }
  throw UserError(file + ": tensor " + quote(name) + ": these are not the fixed positions of MAE");
}

// Errors (UserError): the encoder of `mae` is not the ViT without its head.
void check_encoder(const ImageModelConfig& vit, const MaeConfig& mae, const std::string& place) {
  const auto expect = [&](const char* setting, const auto& of_vit, const auto& of_mae) {
    if (of_vit == of_mae) return;
    std::ostringstream text;
    text << setting << ": the masked autoencoder in " << place << " has " << of_mae << ", the classifier "
         << of_vit;
    throw UserError(text.str());
  };
  expect("image_size", vit.image_size, mae.image_size);
  expect("patch_size", vit.patch_size, mae.patch_size);
  expect("dim", vit.dim, mae.dim);
  expect("num_layers", vit.num_layers, mae.num_layers);
  expect("num_heads", vit.num_heads, mae.num_heads);
  expect("ffn_dim", vit.ffn_dim, mae.ffn_dim);
  expect("norm_eps", vit.norm_eps, mae.norm_eps);
  const auto text_of = [](NormSpec spec) {
    spec.options.dropout = 0;
    return spec.text();
  };
  expect("norm.block", text_of(vit.norms["block"].with_eps(vit.norm_eps)),
         text_of(mae.norms["encoder"].with_eps(mae.norm_eps)));
}

}  // namespace

MaeConfig read_mae_config(const fs::path& folder) {
  const fs::path file = folder / kConfigFile;
  return parse_mae(read_config_text(file), file.string());
}

std::shared_ptr<Mae> load_mae(const fs::path& folder) {
  auto model = std::make_shared<Mae>(read_mae_config(folder));
  load_mae_weights(*model, folder);
  return model;
}

void load_mae_weights(Mae& model, const fs::path& folder) {
  const fs::path file = folder / kWeightsFile;
  const TensorMap stored = read_safetensors(file);
  const auto begins = stored.lower_bound(kOtherDecoderLayers);
  const MaeConfig& c = model.config();
  check_positions(stored, kPositions, stored_positions(c.dim, c), file.string());
  check_positions(stored, kDecoderPositions, stored_positions(c.decoder_dim, c), file.string());
  const bool is_other = begins != stored.end() && begins->first.starts_with(kOtherDecoderLayers);
  load_stored(
      stored, model.params(), stored_names(is_other ? kOtherDecoderLayers : kDecoderLayers),
      [](const std::string& tensor) { return tensor == kPositions || tensor == kDecoderPositions; },
      file.string());
}

void load_encoder(ImageModel& vit, const fs::path& folder) {
  const MaeConfig c = read_mae_config(folder);
  check_encoder(vit.config(), c, folder.string());
  const std::shared_ptr<Mae> mae = load_mae(folder);
  const auto encoder = mae->named_parameters();
  const at::NoGradGuard no_grad;
  for (const ParamInfo& p : vit.params()) {
    if (p.name == "pos_embed") Tensor(p.tensor).copy_(stored_positions(c.dim, c));
    const bool is_shared =
        p.name == "cls_token" || p.name.starts_with("patch_embed.") || p.name.starts_with("blocks.");
    if (is_shared) Tensor(p.tensor).copy_(encoder[p.name]);
  }
}

void write_mae(const Mae& model, const fs::path& folder) {
  const MaeConfig& c = model.config();
  std::vector<TensorSource> tensors = stored_sources(model.params(), stored_names(kDecoderLayers));
  tensors.push_back(source_of(kPositions, stored_positions(c.dim, c)));
  tensors.push_back(source_of(kDecoderPositions, stored_positions(c.decoder_dim, c)));
  write_safetensors(folder / kWeightsFile, tensors);
  replace_file(folder / kConfigFile, mae_json(c).dump(2) + "\n");
}

}  // namespace seednorm::lab
