#include "lab/vision/interop/dit_dir.h"

#include <ATen/Functions.h>

#include <sstream>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/tensors/strict_json.h"
#include "lab/vision/interop/stored_params.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kConfigFile = "config.json";
constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kDiffusersFile = "diffusion_pytorch_model.safetensors";
constexpr const char* kDiffusersClass = "DiTTransformer2DModel";
constexpr double kDiffusersEps = 1e-6;  // of all norms but those before the MLP, which norm_eps is of
constexpr int64_t kDiffusersTimeDivisor = 127;
constexpr int64_t kDiffusersSteps = 1000;  // where nothing says how many
constexpr const char* kKind = "dit";

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

bool is_diffusers(const Json& json) { return json.value("_class_name", Json()) == kDiffusersClass; }

template <class T>
void expect(const Json& json, const char* key, const T& expected) {
  const Json found = json.value(key, Json(expected));
  if (found != Json(expected)) {
    throw UserError(std::string(key) + ": expected " + Json(expected).dump() + ", got " + found.dump());
  }
}

DitFile parse_diffusers(const Json& json) {
  DitFile out;
  DitConfig& c = out.config;
  expect(json, "activation_fn", "gelu-approximate");
  expect(json, "attention_bias", true);
  expect(json, "norm_type", "ada_norm_zero");
  expect(json, "norm_elementwise_affine", false);
  expect(json, "dropout", 0.0);
  c.num_heads = json.value("num_attention_heads", int64_t{16});
  c.dim = c.num_heads * json.value("attention_head_dim", int64_t{72});
  c.ffn_dim = 4 * c.dim;
  c.channels = json.value("in_channels", int64_t{4});
  c.num_layers = json.value("num_layers", int64_t{28});
  c.input_size = json.value("sample_size", int64_t{32});
  c.patch_size = json.value("patch_size", int64_t{2});
  c.num_classes = json.value("num_embeds_ada_norm", int64_t{1000});
  c.norm_eps = kDiffusersEps;
  if (const double eps = json.value("norm_eps", 1e-5); eps != kDiffusersEps) c.mlp_norm_eps = eps;
  c.time_divisor = kDiffusersTimeDivisor;
  expect(json, "out_channels", 2 * c.channels);
  return out;
}

DitFile parse_ours(const Json& json) {
  DitFile out;
  DitConfig& c = out.config;
  if (json.value("model_type", "") != kKind) {
    throw UserError(std::string("expected \"model_type\": \"") + kKind + "\", or diffusers' " +
                    kDiffusersClass);
  }
  const auto read = [&](const char* key, auto& value) { json.at(key).get_to(value); };
  read("input_size", c.input_size);
  read("channels", c.channels);
  read("patch_size", c.patch_size);
  read("num_classes", c.num_classes);
  read("dim", c.dim);
  read("num_layers", c.num_layers);
  read("num_heads", c.num_heads);
  read("ffn_dim", c.ffn_dim);
  read("time_divisor", c.time_divisor);
  read("norm_eps", c.norm_eps);
  c.mlp_norm_eps = json.value("mlp_norm_eps", 0.0);
  read("diffusion_steps", out.diffusion_steps);
  for (const auto& [site, text] : json.at("seednorm").at("norms").items()) {
    c.norms[site] = NormSpec::parse(text.get<std::string>());
  }
  return out;
}

Json read_config(const fs::path& folder) {
  constexpr int kMaxDepth = 16;
  const std::string file = (folder / kConfigFile).string();
  return parse_strict_json(read_file(file, size_t{1} << 20), file, kMaxDepth);
}

DitFile parse(const Json& json, const std::string& file) {
  try {
    DitFile out = is_diffusers(json) ? parse_diffusers(json) : parse_ours(json);
    out.config.check();
    return out;
  } catch (const Json::exception& e) {
    throw UserError(file + ": not the configuration of a DiT: " + e.what());
  } catch (const std::invalid_argument& e) {
    throw UserError(file + ": " + e.what());
  } catch (const UserError& e) {
    throw UserError(file + ": " + e.what());
  }
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

// Errors (UserError): it is not what diffusers computes.
void check_diffusers(const DitConfig& c, int64_t diffusion_steps) {
  const auto expect = [](const std::string& what, const auto& got, const auto& of_diffusers) {
    if (got == of_diffusers) return;
    std::ostringstream text;
    text << what << ": " << kDiffusersClass << " of diffusers has " << of_diffusers << ", this model " << got;
    throw UserError(text.str());
  };
  for (const auto& [site, spec] : c.norms) {
    expect("norm." + site.name, spec.with_eps(c.norm_eps).text(),
           NormSpec::parse("layer_norm").with_eps(kDiffusersEps).text());
  }
  expect("ffn_dim", c.ffn_dim, 4 * c.dim);
  expect("time_divisor", c.time_divisor, kDiffusersTimeDivisor);
  expect("diffusion_steps", diffusion_steps, kDiffusersSteps);
}

Json diffusers_json(const DitConfig& c) {
  return {{"_class_name", kDiffusersClass},
          {"num_attention_heads", c.num_heads},
          {"attention_head_dim", c.dim / c.num_heads},
          {"in_channels", c.channels},
          {"out_channels", 2 * c.channels},
          {"num_layers", c.num_layers},
          {"dropout", 0.0},
          {"attention_bias", true},
          {"sample_size", c.input_size},
          {"patch_size", c.patch_size},
          {"activation_fn", "gelu-approximate"},
          {"num_embeds_ada_norm", c.num_classes},
          {"norm_type", "ada_norm_zero"},
          {"norm_elementwise_affine", false},
          {"norm_eps", c.mlp_norm_eps > 0 ? c.mlp_norm_eps : c.norm_eps}};
}

}  // namespace

Json dit_json(const DitFile& file) {
  const DitConfig& c = file.config;
  Json norms = Json::object();
  for (const auto& [site, spec] : c.norms) norms[site.name] = spec.text();
  Json out = {{"model_type", kKind},           {"input_size", c.input_size},
              {"channels", c.channels},        {"patch_size", c.patch_size},
              {"num_classes", c.num_classes},  {"dim", c.dim},
              {"num_layers", c.num_layers},    {"num_heads", c.num_heads},
              {"ffn_dim", c.ffn_dim},          {"time_divisor", c.time_divisor},
              {"norm_eps", c.norm_eps},        {"diffusion_steps", file.diffusion_steps},
              {"seednorm", {{"norms", norms}}}};
  if (c.mlp_norm_eps > 0) out["mlp_norm_eps"] = c.mlp_norm_eps;
  return out;
}

bool is_dit_dir(const fs::path& folder) {
  if (!fs::exists(folder / kConfigFile)) return false;
  const Json json = read_config(folder);
  return json.is_object() && (is_diffusers(json) || json.value("model_type", Json()) == kKind);
}

DitFile read_dit_file(const fs::path& folder) {
  return parse(read_config(folder), (folder / kConfigFile).string());
}

std::shared_ptr<Dit> load_dit(const fs::path& folder) {
  const Json json = read_config(folder);
  auto model = std::make_shared<Dit>(parse(json, (folder / kConfigFile).string()).config);
  if (!is_diffusers(json)) {
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
  check_diffusers(c, diffusion_steps);
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
  replace_file(folder / kConfigFile, diffusers_json(c).dump(2) + "\n");
}

}  // namespace seednorm::lab
