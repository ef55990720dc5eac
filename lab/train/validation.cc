#include "lab/train/validation.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/split_list.h"
#include "lab/base/suggest.h"
#include "lab/language/data/batches.h"
#include "lab/language/eval/evaluate.h"
#include "lab/language/generate/generate.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Greedy text of a small model runs in circles.
constexpr SamplingConfig kSampling = {.temperature = 0.8, .seed = 0};

std::vector<const Task*> tasks_of(const std::string& list) {
  std::vector<std::string> others;
  const std::vector<const Task*> out = named_tasks(split_list(list), &others);
  if (others.empty()) return out;
  std::vector<std::string> known;
  for (const Task& task : all_tasks()) known.push_back(task.name);
  throw UserError("tasks: no task " + quote(others[0]) + did_you_mean(others[0], known) +
                  "; all is all of them, and sets of text are for valid_data");
}

}  // namespace

Validation::Validation(const TrainConfig& config, std::shared_ptr<Model> model, const fs::path& tokenizer)
    : config_(config), model_(std::move(model)) {
  read_sets();
  if (config_.sample_prompt.empty() && config_.tasks.empty()) return;
  if (tokenizer.empty()) {
    throw UserError((config_.tasks.empty() ? "sample_prompt: " : "tasks: ") + config_.train_data +
                    " has no tokenizer.json; put there the one that the tokens were made with");
  }
  writer_.emplace(TextModel{.model = model_,
                            .tokenizer = load_tokenizer(config_.train_data, tokenizer.string(), *model_),
                            .eos_ids = {}});
  if (const auto id = writer_->tokenizer.eos_id()) writer_->eos_ids.push_back(*id);
  read_tasks();
  const auto prompt_tokens = static_cast<int64_t>(writer_->tokenizer.encode(config_.sample_prompt).size());
  if (prompt_tokens >= model_->config().context) {
    throw UserError("sample_prompt: has " + std::to_string(prompt_tokens) +
                    " tokens, the model's context is " + std::to_string(model_->config().context) +
                    "; shorten it");
  }
}

void Validation::read_sets() {
  const int64_t context = model_->config().context, length = context + 1;
  const int64_t micro = config_.micro_batch_size > 0 ? config_.micro_batch_size : config_.batch_size;
  for (const std::string& folder : split_list(config_.valid_data)) {
    const TokenStream stream = TokenStream::open({folder});
    const Batches order(stream, {.context = context, .batch_size = 1, .seed = 0});
    int64_t count = order.num_sequences();
    if (config_.eval_batches > 0) count = std::min(count, config_.eval_batches * micro);
    at::Tensor sequences = at::empty({count, length}, at::kLong);
    for (int64_t i = 0; i < count; ++i) {
      order.read_sequence(i, {sequences.data_ptr<int64_t>() + i * length, static_cast<size_t>(length)});
    }
    sets_.push_back({fs::path(folder).lexically_normal().filename().string(), sequences});
  }
}

void Validation::read_tasks() {
  if (config_.tasks.empty()) return;
  const std::vector<const Task*> tasks = tasks_of(config_.tasks);
  const DataFolder folder(config_.tasks_data);
  const EncodeLimits limits = {.model_context = model_->config().context, .documents = config_.tasks_limit};
  for (const Task* task : tasks) {
    tasks_.push_back(prepare_task(*task, folder, writer_->tokenizer, limits));
  }
}

Json Validation::losses(Trainer& trainer) const {
  Json out = Json::object();
  for (const Set& set : sets_) out["valid"][set.name] = trainer.evaluate(set.sequences);
  if (!sets_.empty()) {
    if (const Json norms = watch_norms(trainer); !norms.empty()) out["norms"] = norms;
  }
  if (!config_.sample_prompt.empty()) out["sample"] = sample();
  return out;
}

Json Validation::tasks() const {
  const at::NoGradGuard no_grad;
  Json out = {{"tasks", Json::object()}};
  for (const TaskRequests& task : tasks_) {
    out["tasks"][task.task.name] = evaluate(*model_, task, EvalOptions()).value;
  }
  return out;
}

// What SeeDNorm's dynamic coefficients do, layer by layer, on a sequence of the first set.
Json Validation::watch_norms(Trainer& trainer) const {
  Json out = Json::object();
  for (const auto& [name, norm] : model_->norms()) norm->set_watching(true);
  trainer.evaluate(sets_[0].sequences.narrow(0, 0, 1));
  for (const auto& [name, norm] : model_->norms()) {
    if (const auto& s = norm->dynamic_stats()) {
      out[name] = {{"saturated", s->saturated},
                   {"mean_u", s->mean_u},
                   {"std_u", s->std_u},
                   {"alpha", s->alpha},
                   {"beta", s->beta}};
    }
    norm->set_watching(false);
  }
  return out;
}

std::string Validation::sample() const {
  const GenerateOptions options = {.sampling = kSampling, .max_tokens = config_.sample_tokens};
  const GenerateResult result =
      generate(*writer_, {config_.sample_prompt}, options, [](size_t, std::string_view) {});
  return config_.sample_prompt + result.generations[0].text;
}

}  // namespace seednorm::lab
