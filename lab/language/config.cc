#include "lab/language/config.h"

#include <stdexcept>

namespace seednorm::lab {
namespace {

// NaN fails every check.
void require(bool holds, const char* setting, const char* expected) {
  if (!holds) throw std::invalid_argument(std::string(setting) + ": expected " + expected);
}

constexpr std::string_view kOwnPlacement = "family";

std::optional<NormPlacement> parse_placement(std::string_view value) {
  if (value == kOwnPlacement) return std::nullopt;
  try {
    return placement_of(value);
  } catch (const std::invalid_argument& e) {
    throw std::invalid_argument(std::string(e.what()) + "; " + std::string(kOwnPlacement) +
                                " means the family's own");
  }
}

}  // namespace

std::unique_ptr<WorkloadConfig> language_config() { return std::make_unique<LanguageConfig>(); }

Settings LanguageConfig::settings() {
  ModelConfig& m = model;
  Settings out = {
      {"family", "family of models: olmo2 or olmoe",
       [&m](std::string_view value) { m.set_family(family_of(std::string(value))); },
       [&m] { return std::string(name_of(m.family)); }},
      {"vocab_size", "size of the vocabulary; 0: that of the tokenizer", m.vocab_size, Scope::kMeasurement},
      {"context", "number of tokens in a sequence", m.context, Scope::kMeasurement},
      {"dim", "width", m.dim},
      {"num_layers", "number of layers", m.num_layers},
      {"num_heads", "number of query heads", m.num_heads},
      {"num_kv_heads", "number of key and value heads", m.num_kv_heads},
      {"ffn_dim", "hidden width of the feed-forward part, or of each expert", m.ffn_dim},
      {"num_experts", "number of experts", m.num_experts},
      {"top_k", "number of experts per token", m.top_k},
      {"norm_topk_prob", "divide the chosen experts' weights by their sum", m.norm_topk_prob},
      {"rope_theta", "base of the rotary angles", m.rope_theta},
      {"norm_eps", "eps of every norm that has one", m.norm_eps},
      {"init_std", "standard deviation of the initial matrices", m.init_std},
      {"tied", "embedding and head share one matrix", m.tied},
      {"embedding_scale", "a learned factor on the embedding, initially sqrt(dim)", m.embedding_scale},
  };
  for (auto& [site, spec] : m.norms) out.emplace_back("norm." + site.name, site.help, spec);
  const Settings rest = {
      {"qk_norm_per_head", "normalize queries and keys per head instead of all heads at once",
       m.qk_norm_per_head},
      {"norm_placement",
       "place of the sublayers' norms: pre, post, peri, reordered, or family for the family's own",
       [&m](std::string_view value) { m.norm_placement = parse_placement(value); },
       [&m] { return std::string(m.norm_placement ? name_of(*m.norm_placement) : kOwnPlacement); }},
      {"norm_depth_scaling", "divide the output of the sublayers' norms in layer l = 1, 2, ... by sqrt(l)",
       m.norm_depth_scaling},
      {"frac_rate", "number of pieces of the residual stream (Frac-Connections); 0: a plain residual",
       m.frac_rate},
      {"z_loss_multiplier", "weight of the z-loss of the head's logits (OLMo2: 1e-5)", z_loss_multiplier},
      {"balance_weight", "weight of the experts' load-balance loss", balance_weight},
      {"router_z_weight", "weight of the router's z-loss", router_z_weight},
      {"router_z_over_top_k", "divide the router's z-loss by top_k, as OLMoE's code does",
       router_z_over_top_k},
      {"init_from",
       "model directory or checkpoint whose weights training begins with, with other norms where they do not "
       "change its outputs",
       init_from},
      {"train_data", "folder of token shards to train on", train_data},
      {"valid_data", "folders of token shards to validate on, separated by commas", valid_data,
       Scope::kMeasurement},
      {"sample_prompt", "text that the model continues at each validation", sample_prompt},
      {"sample_tokens", "number of tokens in that continuation", sample_tokens},
      {"tasks", "tasks to evaluate, separated by commas, as in seednorm eval", tasks, Scope::kMeasurement},
      {"tasks_data", "folder with the files of the tasks", tasks_data, Scope::kMeasurement},
      {"tasks_every", "steps between evaluations of the tasks; 0: only at the end", tasks_every},
      {"tasks_limit", "number of documents of each task; 0: all", tasks_limit, Scope::kMeasurement},
  };
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

void LanguageConfig::check() const {
  require(z_loss_multiplier >= 0 && z_loss_multiplier <= 1e6, "z_loss_multiplier", "0 to 1e6");
  require(balance_weight >= 0 && balance_weight <= 1e6, "balance_weight", "0 to 1e6");
  require(router_z_weight >= 0 && router_z_weight <= 1e6, "router_z_weight", "0 to 1e6");
  require(sample_tokens >= 1 && sample_tokens <= (int64_t{1} << 24), "sample_tokens", "1 to 2^24");
  require(tasks.empty() == tasks_data.empty(), "tasks, tasks_data", "both, or neither of them");
  require(tasks_every >= 0, "tasks_every", "0 or more");
  require(tasks_limit >= 0, "tasks_limit", "0 or more");
  ModelConfig complete = model;
  if (complete.vocab_size == 0) complete.vocab_size = 1;  // comes with the data
  complete.check();
}

}  // namespace seednorm::lab
