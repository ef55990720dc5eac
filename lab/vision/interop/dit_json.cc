#include "lab/vision/interop/dit_json.h"

#include <sstream>

#include "lab/vision/interop/config_fields.h"
#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {
namespace {

using namespace checks;
using Json = nlohmann::json;

constexpr const char* kKind = "dit";
constexpr const char* kDiffusersClass = "DiTTransformer2DModel";
constexpr double kDiffusersEps = 1e-6;  // of all norms but those before the MLP, which norm_eps is of
constexpr int64_t kDiffusersTimeDivisor = 127;
constexpr int64_t kDiffusersSteps = 1000;  // where nothing says how many
constexpr int64_t kMinSteps = 21, kMaxSteps = 1'000'000;

bool is_diffusers(const Json& json) { return json.value("_class_name", Json()) == kDiffusersClass; }

DitFile read_diffusers(const JsonField& root) {
  DitFile out = {.is_diffusers = true};
  DitConfig& c = out.config;
  expect(root, "activation_fn", "gelu-approximate");
  expect(root, "attention_bias", true);
  expect(root, "norm_type", "ada_norm_zero");
  expect(root, "norm_elementwise_affine", false);
  expect(root, "dropout", 0.0);
  const auto read = [&](const char* key, int64_t most, int64_t otherwise) {
    return integer_or(root.find(key), 1, most, otherwise);
  };
  c.num_heads = read("num_attention_heads", kMaxDim, 16);
  c.dim = c.num_heads * read("attention_head_dim", kMaxDim, 72);
  c.ffn_dim = 4 * c.dim;
  c.channels = read("in_channels", kMaxChannels, 4);
  c.num_layers = read("num_layers", kMaxLayers, 28);
  c.input_size = read("sample_size", kMaxSide, 32);
  c.patch_size = read("patch_size", kMaxSide, 2);
  c.num_classes = read("num_embeds_ada_norm", kMaxClasses, 1000);
  c.norm_eps = kDiffusersEps;
  const JsonField eps = root.find("norm_eps");
  if (const double number = number_or(eps, 1e-5); !(number > 0 && number <= 1)) {
    eps.fail("expected more than 0, at most 1");
  } else if (number != kDiffusersEps) {
    c.mlp_norm_eps = number;
  }
  c.time_divisor = kDiffusersTimeDivisor;
  expect(root, "out_channels", 2 * c.channels);
  return out;
}

DitFile read_ours(const JsonField& root) {
  DitFile out;
  DitConfig& c = out.config;
  const auto read = [&](const char* key, int64_t least, int64_t most) {
    return root[key].integer(least, most);
  };
  c.input_size = read("input_size", 1, kMaxSide);
  c.channels = read("channels", 1, kMaxChannels);
  c.patch_size = read("patch_size", 1, kMaxSide);
  c.num_classes = read("num_classes", 1, kMaxClasses);
  c.dim = read("dim", 1, kMaxDim);
  c.num_layers = read("num_layers", 1, kMaxLayers);
  c.num_heads = read("num_heads", 1, kMaxDim);
  c.ffn_dim = read("ffn_dim", 1, kMaxDim);
  c.time_divisor = read("time_divisor", 127, 128);
  c.norm_eps = root["norm_eps"].number();
  c.mlp_norm_eps = number_or(root.find("mlp_norm_eps"), 0);
  out.diffusion_steps = read("diffusion_steps", kMinSteps, kMaxSteps);
  read_norms(root["seednorm"]["norms"], c.norms);
  return out;
}

DitFile read_dit(const JsonField& root) {
  if (!is_dit_json(root.object())) {
    root.fail(std::string("expected \"model_type\": \"") + kKind + "\", or diffusers' " + kDiffusersClass);
  }
  DitFile out = is_diffusers(root.object()) ? read_diffusers(root) : read_ours(root);
  out.config.check();
  return out;
}

// Errors (UserError): it is not what diffusers computes.
void check_diffusers(const DitFile& file) {
  const DitConfig& c = file.config;
  const auto compare = [](const std::string& what, const auto& got, const auto& of_diffusers) {
    if (got == of_diffusers) return;
    std::ostringstream text;
    text << what << ": " << kDiffusersClass << " of diffusers has " << of_diffusers << ", this model " << got;
    throw UserError(text.str());
  };
  for (const auto& [site, spec] : c.norms) {
    compare("norm." + site.name, spec.with_eps(c.norm_eps).text(),
            NormSpec::parse("layer_norm").with_eps(kDiffusersEps).text());
  }
  compare("ffn_dim", c.ffn_dim, 4 * c.dim);
  compare("time_divisor", c.time_divisor, kDiffusersTimeDivisor);
  compare("diffusion_steps", file.diffusion_steps, kDiffusersSteps);
}

}  // namespace

Json dit_json(const DitFile& file) {
  const DitConfig& c = file.config;
  Json out = {{"model_type", kKind},
              {"input_size", c.input_size},
              {"channels", c.channels},
              {"patch_size", c.patch_size},
              {"num_classes", c.num_classes},
              {"dim", c.dim},
              {"num_layers", c.num_layers},
              {"num_heads", c.num_heads},
              {"ffn_dim", c.ffn_dim},
              {"time_divisor", c.time_divisor},
              {"norm_eps", c.norm_eps},
              {"diffusion_steps", file.diffusion_steps},
              {"seednorm", {{"norms", norms_json(c.norms)}}}};
  if (c.mlp_norm_eps > 0) out["mlp_norm_eps"] = c.mlp_norm_eps;
  return out;
}

Json diffusers_json(const DitFile& file) {
  check_diffusers(file);
  const DitConfig& c = file.config;
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

bool is_dit_json(const Json& config) {
  return config.is_object() && (is_diffusers(config) || config.value("model_type", Json()) == kKind);
}

DitFile parse_dit(std::string_view text, const std::string& file) {
  return read_config(text, file, read_dit);
}

}  // namespace seednorm::lab
