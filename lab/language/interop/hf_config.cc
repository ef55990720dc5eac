#include "lab/language/interop/hf_config.h"

#include <algorithm>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/tensors/strict_json.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::json;

constexpr const char* kOwnPrefix = "seednorm_";
constexpr int kMaxDepth = 16;
constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr int64_t kMaxSize = int64_t{1} << 31;     // of any dimension
constexpr int64_t kMaxContext = int64_t{1} << 20;  // tables of angles are made for all of it

// The defaults of Hugging Face's classes for missing fields.
constexpr double kDefaultTheta = 10000, kDefaultEps = 1e-5, kDefaultInitStd = 0.02;

// A field that may be missing or null.
int64_t size_or(const JsonField& field, int64_t otherwise) {
  return field.is_null() ? otherwise : field.integer(1, kMaxSize);
}
double number_or(const JsonField& field, double otherwise) {
  return field.is_null() ? otherwise : field.number();
}
bool flag_or(const JsonField& field, bool otherwise) { return field.is_null() ? otherwise : field.boolean(); }
std::string text_or(const JsonField& field, const char* otherwise) {
  return field.is_null() ? otherwise : field.string();
}

Family family_in(const JsonField& root) {
  const JsonField field = root["model_type"];
  std::string name = field.string();
  if (name.starts_with(kOwnPrefix)) name.erase(0, std::string_view(kOwnPrefix).size());
  std::string all;
  for (const std::string& known : family_names()) {
    if (name == known) return family_of(name);
    all += (all.empty() ? "" : ", ") + known;
  }
  field.fail(quote(field.string()) + " is not supported; " + all + " are");
}

// Settings that change the results of a model and that this program does not implement.
void refuse_unsupported(const JsonField& root) {
  for (const char* name : {"attention_bias", "mlp_bias"}) {
    if (flag_or(root.find(name), false)) root.find(name).fail("true is not supported");
  }
  for (const char* name : {"clip_qkv", "sliding_window", "quantization_config"}) {
    if (!root.find(name).is_null()) root.find(name).fail("is not supported; expected null");
  }
  if (const JsonField types = root.find("layer_types"); !types.is_null()) {
    for (size_t i = 0; i < types.array().size(); ++i) {
      if (types[i].string() != "full_attention")
        types[i].fail("is not supported; expected \"full_attention\"");
    }
  }
  if (number_or(root.find("attention_dropout"), 0) != 0) {
    root.find("attention_dropout").fail("is not supported; expected 0");
  }
  if (const std::string act = text_or(root.find("hidden_act"), "silu"); act != "silu" && act != "swish") {
    root.find("hidden_act").fail(quote(act) + " is not supported; expected \"silu\"");
  }
}

// theta of one of the two forms: "rope_parameters": {"rope_theta", "rope_type"}, or "rope_theta" and
// "rope_scaling".
double rope_theta(const JsonField& root) {
  double theta = number_or(root.find("rope_theta"), kDefaultTheta);
  for (const char* form : {"rope_scaling", "rope_parameters"}) {
    const JsonField rope = root.find(form);
    if (rope.is_null()) continue;
    for (const char* key : {"type", "rope_type"}) {
      const JsonField type = rope.find(key);
      if (const std::string name = text_or(type, "default"); name != "default") {
        type.fail("RoPE scaling " + quote(name) + " is not supported; only \"default\" is");
      }
    }
    if (number_or(rope.find("factor"), 1) != 1)
      rope.find("factor").fail("RoPE scaling is not supported; expected 1");
    theta = number_or(rope.find("rope_theta"), theta);
    if (number_or(rope.find("partial_rotary_factor"), 1) != 1) {
      rope.find("partial_rotary_factor").fail("is not supported; expected 1");
    }
  }
  if (number_or(root.find("partial_rotary_factor"), 1) != 1) {
    root.find("partial_rotary_factor").fail("is not supported; expected 1");
  }
  return theta;
}

NormSpec spec_in(const JsonField& field, double eps) {
  try {
    return NormSpec::parse(field.string()).with_eps(eps);
  } catch (const std::invalid_argument& error) {
    field.fail(error.what());
  }
}

void read_own(const JsonField& own, ModelConfig& out) {
  const JsonField norm = own["norm"];
  for (auto& [site, spec] : out.norms) spec = spec_in(norm[site.name], out.norm_eps);
  const std::string& qk = own["qk_norm"].string();
  if (qk != "head" && qk != "all") own["qk_norm"].fail("expected \"head\" or \"all\", got " + quote(qk));
  out.qk_norm_per_head = qk == "head";
  out.frac_rate = own["frac_rate"].integer(0, kMaxSize);
  out.embedding_scale = own["embedding_scale"].boolean();
  // Models that were written before these settings existed have the family's own placement.
  out.norm_depth_scaling = flag_or(own.find("norm_depth_scaling"), false);
  if (const JsonField placement = own.find("norm_placement"); !placement.is_null()) {
    try {
      out.norm_placement = placement_of(placement.string());
    } catch (const std::invalid_argument& error) {
      placement.fail(error.what());
    }
  }
}

bool has_own_placement(const ModelConfig& c) { return c.placement() == own_placement(c.family); }

}  // namespace

bool is_hugging_face(const ModelConfig& config) {
  const std::string plain = NormSpec().with_eps(config.norm_eps).text();
  const bool has_plain_norms = std::all_of(config.norms.begin(), config.norms.end(), [&](const auto& entry) {
    return entry.spec.with_eps(config.norm_eps).text() == plain;
  });
  return has_plain_norms && !config.qk_norm_per_head && config.frac_rate == 0 && !config.embedding_scale &&
         has_own_placement(config) && !config.norm_depth_scaling;
}

Json hf_config(const ModelConfig& c, const std::string& dtype) {
  std::string type = name_of(c.family), architecture = type + "ForCausalLM";
  architecture[0] = static_cast<char>(architecture[0] - 'a' + 'A');
  Json out = {{"vocab_size", c.vocab_size},
              {"max_position_embeddings", c.context},
              {"hidden_size", c.dim},
              {"num_hidden_layers", c.num_layers},
              {"num_attention_heads", c.num_heads},
              {"num_key_value_heads", c.num_kv_heads},
              {"intermediate_size", c.ffn_dim},
              {"hidden_act", "silu"},
              {"attention_bias", false},
              {"attention_dropout", 0.0},
              {"rms_norm_eps", c.norm_eps},
              {"initializer_range", c.init_std},
              {"tie_word_embeddings", c.tied},
              // transformers reads the second form since version 5; earlier versions and other programs read
              // the first.
              {"rope_theta", c.rope_theta},
              {"rope_parameters", {{"rope_theta", c.rope_theta}, {"rope_type", "default"}}},
              {"use_cache", true},
              // Their defaults are ids of OLMo's own tokenizer.
              {"bos_token_id", nullptr},
              {"eos_token_id", nullptr},
              {"pad_token_id", nullptr},
              {"dtype", dtype}};
  if (has_experts(c.family)) {
    out.update(Json{{"num_experts", c.num_experts},
                    {"num_experts_per_tok", c.top_k},
                    {"norm_topk_prob", c.norm_topk_prob},
                    {"clip_qkv", nullptr}});
  }
  if (!is_hugging_face(c)) {
    Json norms = Json::object();
    for (const auto& [site, spec] : c.norms) norms[site.name] = spec.with_eps(c.norm_eps).text();
    type = kOwnPrefix + type;
    architecture = "SeeDNorm" + architecture;
    out["seednorm"] = {{"norm", norms},
                       {"qk_norm", c.qk_norm_per_head ? "head" : "all"},
                       {"frac_rate", c.frac_rate},
                       {"embedding_scale", c.embedding_scale}};
    if (!has_own_placement(c)) out["seednorm"]["norm_placement"] = name_of(c.placement());
    if (c.norm_depth_scaling) out["seednorm"]["norm_depth_scaling"] = true;
  }
  out["model_type"] = type;
  out["architectures"] = {architecture};
  return out;
}

ModelConfig parse_hf_config(std::string_view text, const std::string& file) {
  const Json json = parse_strict_json(text, file, kMaxDepth);
  const JsonField root(json, file);
  refuse_unsupported(root);
  ModelConfig out;
  out.set_family(family_in(root));
  out.vocab_size = root["vocab_size"].integer(1, kMaxSize);
  out.context = root["max_position_embeddings"].integer(1, kMaxContext);
  out.dim = root["hidden_size"].integer(1, kMaxSize);
  out.num_layers = root["num_hidden_layers"].integer(1, kMaxSize);
  out.num_heads = root["num_attention_heads"].integer(1, kMaxSize);
  out.num_kv_heads = size_or(root.find("num_key_value_heads"), out.num_heads);
  out.ffn_dim = root["intermediate_size"].integer(1, kMaxSize);
  if (const JsonField width = root.find("head_dim");
      size_or(width, out.dim / out.num_heads) * out.num_heads != out.dim) {
    width.fail("is not supported; expected hidden_size / num_attention_heads");
  }
  out.rope_theta = rope_theta(root);
  out.norm_eps = number_or(root.find("rms_norm_eps"), kDefaultEps);
  out.init_std = number_or(root.find("initializer_range"), kDefaultInitStd);
  out.tied = flag_or(root.find("tie_word_embeddings"), false);
  if (has_experts(out.family)) {
    out.num_experts = root["num_experts"].integer(1, kMaxSize);
    out.top_k = root["num_experts_per_tok"].integer(1, kMaxSize);
    out.norm_topk_prob = flag_or(root.find("norm_topk_prob"), false);
  }
  out.qk_norm_per_head = false;
  out.norms.set_eps(out.norm_eps);
  try {
    if (const JsonField own = root.find("seednorm"); !own.is_null()) {
      read_own(own, out);
    } else if (root["model_type"].string().starts_with(kOwnPrefix)) {
      root["seednorm"].fail("is missing");
    }
    out.check();
  } catch (const std::invalid_argument& error) {
    throw UserError(file + ": " + error.what());
  }
  return out;
}

ModelConfig read_hf_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  return parse_hf_config(read_file(path, kMaxConfigBytes), path.string());
}

}  // namespace seednorm::lab
