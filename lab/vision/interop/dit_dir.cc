#include "lab/vision/interop/dit_dir.h"

#include <ATen/Functions.h>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/vision/interop/config_fields.h"
#include "lab/vision/interop/stored_params.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kDiffusersFile = "diffusion_pytorch_model.safetensors";

std::vector<std::string> own_names(const std::string& param) { return {param}; }

// diffusers keeps a copy of the embeddings in every block.
constexpr const char* kEmbeddings = ".norm1.emb.";

std::vector<std::string> diffusers_names(const std::string& param) {
  const auto replaced = [&](const std::string& ours, const std::string& theirs) {
    return std::vector<std::string>{theirs + param.substr(ours.size())};
  };
  const std::string first = std::string("transformer_blocks.0") + kEmbeddings;
  if (param.starts_with("x_embedder.proj")) return replaced("x_embedder.proj", "pos_embed.proj");
  if (param.starts_with("t_embedder.mlp.0"))
    return replaced("t_embedder.mlp.0", first + "timestep_embedder.linear_1");
  if (param.starts_with("t_embedder.mlp.2"))
    return replaced("t_embedder.mlp.2", first + "timestep_embedder.linear_2");
  if (param.starts_with("y_embedder.")) return replaced("y_embedder.", first + "class_embedder.");
  if (param.starts_with("final_layer.linear")) return replaced("final_layer.linear", "proj_out_2");
  if (param.starts_with("final_layer.adaLN_modulation.1"))
    return replaced("final_layer.adaLN_modulation.1", "proj_out_1");
  const BlockParam b = block_param(param, "blocks.");
  if (b.index.empty()) return {param};
  const std::string block = "transformer_blocks." + b.index + ".";
  if (b.rest.starts_with("attn.qkv")) {
    const std::string suffix = b.rest.substr(8);
    return {block + "attn1.to_q" + suffix, block + "attn1.to_k" + suffix, block + "attn1.to_v" + suffix};
  }
  for (const auto& [ours, theirs] : {std::pair<std::string, std::string>{"attn.proj", "attn1.to_out.0"},
                                     {"mlp.fc1", "ff.net.0.proj"},
                                     {"mlp.fc2", "ff.net.2"},
                                     {"adaLN_modulation.1", "norm1.linear"}}) {
    if (b.rest.starts_with(ours)) return {block + theirs + b.rest.substr(ours.size())};
  }
  return {block + b.rest};
}

// Copies of the first block's embeddings in the others. Errors (UserError): they are not.
bool is_copy(const std::string& tensor, const TensorMap& stored, const std::string& file) {
  const size_t at = tensor.find(kEmbeddings);
  if (!tensor.starts_with("transformer_blocks.") || at == std::string::npos) return false;
  const auto first = stored.find("transformer_blocks.0" + tensor.substr(at));
  if (first != stored.end() && at::equal(first->second, stored.at(tensor))) return true;
  throw UserError(file + ": tensor " + quote(tensor, 200) +
                  ": differs from that of the first block; a DiT has one for all blocks");
}

}  // namespace

DitFile read_dit_file(const fs::path& folder) {
  const fs::path file = folder / kConfigFile;
  return parse_dit(read_config_text(file), file.string());
}

std::shared_ptr<Dit> load_dit(const fs::path& folder) {
  const DitFile config = read_dit_file(folder);
  auto model = std::make_shared<Dit>(config.config);
  if (!config.is_diffusers) {
    load_dit_weights(*model, folder / kWeightsFile);
    return model;
  }
  const fs::path file = folder / kDiffusersFile;
  const TensorMap stored = read_safetensors(file);
  load_stored(
      stored, model->params(), diffusers_names,
      [&](const std::string& tensor) { return is_copy(tensor, stored, file.string()); }, file.string());
  return model;
}

void load_dit_weights(Dit& model, const fs::path& file) {
  load_stored(
      read_safetensors(file), model.params(), own_names,
      [](const std::string& tensor) { return tensor == "pos_embed"; }, file.string());
}

void write_dit(const Dit& model, int64_t diffusion_steps, const fs::path& folder) {
  write_safetensors(folder / kWeightsFile, stored_sources(model.params(), own_names));
  replace_file(folder / kConfigFile, dit_json({model.config(), diffusion_steps}).dump(2) + "\n");
}

void write_diffusers_dit(const Dit& model, int64_t diffusion_steps, const fs::path& folder) {
  const DitConfig& c = model.config();
  const nlohmann::json config = diffusers_json({c, diffusion_steps});  // refuses before anything is written
  std::vector<TensorSource> tensors = stored_sources(model.params(), diffusers_names);
  const std::string first = std::string("transformer_blocks.0") + kEmbeddings;
  for (size_t i = 0, count = tensors.size(); i < count; ++i) {
    if (!tensors[i].name.starts_with(first)) continue;
    for (int64_t block = 1; block < c.num_layers; ++block) {
      TensorSource copy = tensors[i];
      copy.name =
          "transformer_blocks." + std::to_string(block) + kEmbeddings + copy.name.substr(first.size());
      tensors.push_back(std::move(copy));
    }
  }
  write_safetensors(folder / kDiffusersFile, tensors);
  replace_file(folder / kConfigFile, config.dump(2) + "\n");
}

}  // namespace seednorm::lab
