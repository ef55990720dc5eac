// Every setting of a recipe: a line in kSettings.
#include <array>
#include <charconv>
#include <iterator>

#include "lab/base/error.h"
#include "lab/recipes/recipe.h"

namespace seednorm::lab {
namespace {

// The settings below are made from members: `ModelConfig::dim` of `Recipe::model`, and so on.
template <auto kPart, auto kMember>
auto& member(Recipe& r) {
  return (r.*kPart).*kMember;
}
template <auto kPart, auto kMember>
const auto& member(const Recipe& r) {
  return (r.*kPart).*kMember;
}

template <class T>
void parse_number(std::string_view value, T& out) {
  // Underscores may separate digits, as in TOML.
  std::string digits;
  for (const char c : value) {
    if (c != '_') digits += c;
  }
  T parsed{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    constexpr const char* kWhat = std::is_integral_v<T> ? "a whole number" : "a number";
    throw UserError(std::string("expected ") + kWhat + ", got " + quote(value));
  }
  out = parsed;
}
void parse(std::string_view value, int64_t& out) { parse_number(value, out); }
void parse(std::string_view value, double& out) { parse_number(value, out); }
void parse(std::string_view value, std::string& out) { out = value; }
void parse(std::string_view value, bool& out) {
  if (value != "true" && value != "false") throw UserError("expected true or false, got " + quote(value));
  out = value == "true";
}
void parse(std::string_view value, NormSpec& out) { out = NormSpec::parse(value); }
void parse(std::string_view value, Family& out) { out = family_of(std::string(value)); }
void parse(std::string_view value, Precision& out) {
  if (value != "float32" && value != "bfloat16") {
    throw UserError("expected float32 or bfloat16, got " + quote(value));
  }
  out = value == "float32" ? Precision::kFloat32 : Precision::kBFloat16;
}

template <class T>
std::string number_text(T value) {
  std::array<char, 32> buffer;
  return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr};
}
std::string text(int64_t value) { return number_text(value); }
std::string text(double value) { return number_text(value); }
std::string text(const std::string& value) { return value; }
std::string text(bool value) { return value ? "true" : "false"; }
std::string text(const NormSpec& value) { return value.text(); }
std::string text(Family value) { return name_of(value); }
std::string text(Precision value) { return value == Precision::kFloat32 ? "float32" : "bfloat16"; }

template <auto kPart, auto kMember>
constexpr Setting setting(const char* name, const char* help) {
  return {name, help, [](Recipe& r, std::string_view v) { parse(v, member<kPart, kMember>(r)); },
          [](const Recipe& r) { return text(member<kPart, kMember>(r)); }};
}
template <auto kMember>
constexpr Setting model(const char* name, const char* help) {
  return setting<&Recipe::model, kMember>(name, help);
}
template <auto kMember>
constexpr Setting train(const char* name, const char* help) {
  return setting<&Recipe::train, kMember>(name, help);
}

using M = ModelConfig;
using T = TrainConfig;
constexpr Setting kSettings[] = {
    model<&M::family>("family", "family of models: olmo2 or olmoe"),
    model<&M::vocab_size>("vocab_size", "tokens of the vocabulary; 0: the tokenizer's"),
    model<&M::context>("context", "tokens of a sequence"),
    model<&M::dim>("dim", "width"),
    model<&M::num_layers>("num_layers", "layers"),
    model<&M::num_heads>("num_heads", "query heads"),
    model<&M::num_kv_heads>("num_kv_heads", "key and value heads"),
    model<&M::ffn_dim>("ffn_dim", "hidden width of the feed-forward part, or of each expert"),
    model<&M::num_experts>("num_experts", "experts"),
    model<&M::top_k>("top_k", "experts a token"),
    model<&M::norm_topk_prob>("norm_topk_prob", "divide the chosen experts' weights by their sum"),
    model<&M::rope_theta>("rope_theta", "base of the rotary angles"),
    model<&M::norm_eps>("norm_eps", "eps of every norm that has one"),
    model<&M::init_std>("init_std", "standard deviation of the initial matrices"),
    model<&M::tied>("tied", "embedding and head share one matrix"),
    model<&M::embedding_scale>("embedding_scale", "a learned factor on the embedding, sqrt(dim) at first"),
    model<&M::block_norm>("norm.block", "norm of the sublayers, as in seed_norm(alpha_init=0.1)"),
    model<&M::qk_norm>("norm.qk", "norm of queries and keys"),
    model<&M::output_norm>("norm.output", "norm before the head"),
    model<&M::qk_norm_per_head>("qk_norm_per_head",
                                "queries and keys are normalized by head, not all at once"),
    model<&M::frac_rate>("frac_rate", "Frac-Connections: pieces of the residual stream; 0: a plain residual"),
    train<&T::steps>("steps", "optimizer steps"),
    train<&T::seed>("seed", "seed of the initial weights"),
    train<&T::data_seed>("data_seed", "seed of the order of the data"),
    train<&T::batch_size>("batch_size", "sequences a step"),
    train<&T::micro_batch_size>("micro_batch_size", "sequences a pass; 0: the whole batch"),
    train<&T::lr>("lr", "peak learning rate"),
    train<&T::min_lr_ratio>("min_lr_ratio", "learning rate at the end, as a part of the peak"),
    train<&T::warmup_tokens>("warmup_tokens", "tokens of linear warm-up"),
    train<&T::beta1>("beta1", "AdamW's first decay rate"),
    train<&T::beta2>("beta2", "AdamW's second decay rate"),
    train<&T::adam_eps>("adam_eps", "AdamW's eps"),
    train<&T::weight_decay>("weight_decay", "of matrices and of SeeDNorm's alpha and beta"),
    train<&T::decay_gain>("decay_gain", "decay norms' gains too"),
    train<&T::decay_embedding>("decay_embedding", "decay the embedding too"),
    train<&T::grad_clip>("grad_clip", "largest norm of the gradient; 0: none"),
    train<&T::balance_weight>("balance_weight", "weight of the experts' load-balance loss"),
    train<&T::router_z_weight>("router_z_weight", "weight of the router's z-loss"),
    train<&T::dtype>("dtype", "of activations and matrix products: float32 or bfloat16"),
    train<&T::checkpointing>("checkpointing", "make activations again in backward, to save memory"),
    train<&T::threads>("threads", "threads; 0: libtorch's choice"),
    train<&T::train_data>("train_data", "folder of token shards to train on"),
    train<&T::valid_data>("valid_data", "folders of token shards to validate on, separated by commas"),
    train<&T::eval_every>("eval_every", "steps between validations; 0: only at the end"),
    train<&T::eval_batches>("eval_batches", "passes of a validation; 0: all of the set"),
    train<&T::sample_prompt>("sample_prompt", "text that the model continues at each validation"),
    train<&T::sample_tokens>("sample_tokens", "tokens of that continuation"),
    train<&T::tasks>("tasks", "tasks to evaluate, separated by commas, as in seednorm eval"),
    train<&T::tasks_data>("tasks_data", "folder of the tasks' files"),
    train<&T::tasks_every>("tasks_every", "steps between evaluations of the tasks; 0: only at the end"),
    train<&T::tasks_limit>("tasks_limit", "documents of each task; 0: all"),
    train<&T::checkpoint_every>("checkpoint_every", "steps between checkpoints; 0: only at the end"),
    train<&T::keep_checkpoints>("keep_checkpoints", "newest checkpoints to keep"),
    train<&T::log_every>("log_every", "steps between lines of metrics.jsonl"),
};

}  // namespace

std::span<const Setting> settings() { return kSettings; }

}  // namespace seednorm::lab
