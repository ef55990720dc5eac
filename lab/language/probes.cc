#include "lab/language/probes.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "lab/base/error.h"
#include "lab/base/split_list.h"
#include "lab/base/suggest.h"
#include "lab/dist/divide.h"
#include "lab/language/eval/evaluate.h"
#include "lab/language/generate/generate.h"
#include "lab/language/workload.h"
#include "lab/nn/loss.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// The greedy text of a small model repeats itself.
constexpr SamplingConfig kSampling = {.temperature = 0.8, .seed = 0};

struct ValidationSet {
  std::string name;
  at::Tensor sequences;  // [N, context + 1], in their order
};

// Errors (UserError): made with another tokenizer than the training data, or with ids that the model does
// not have.
void check_set(const std::string& folder, const TokenStream& set, const LanguageWorkload& workload) {
  const int64_t vocab_size = workload.config().model.vocab_size;
  if (set.vocab_size() > vocab_size) {
    throw UserError("valid_data: " + folder + ": its tokenizer has " + std::to_string(set.vocab_size()) +
                    " ids, the model only " + std::to_string(vocab_size));
  }
  const TokenStream* train = workload.stream();
  if (train == nullptr || train->sets().empty() || set.sets().empty()) return;
  const TokenSetInfo &a = train->sets()[0], &b = set.sets()[0];
  if (a.tokenizer_sha256 != b.tokenizer_sha256) {
    throw UserError("valid_data: " + folder + ": made with the tokenizer " + quote(b.tokenizer) +
                    ", the training data with " + quote(a.tokenizer) +
                    " of another hash; tokenize both with the same");
  }
}

ValidationSet read_set(const std::string& folder, const std::string& name, const LanguageWorkload& workload) {
  try {
    const TokenStream stream = TokenStream::open({folder});
    check_set(folder, stream, workload);
    const int64_t context = workload.config().model.context, length = context + 1;
    const Batches order(stream, {.context = context, .batch_size = 1, .seed = 0});
    int64_t count = order.num_sequences();
    if (workload.train().eval_rows > 0) count = std::min(count, workload.train().eval_rows);
    at::Tensor sequences = at::empty({count, length}, at::kLong);
    for (int64_t i = 0; i < count; ++i) {
      order.read_sequence(i, {sequences.data_ptr<int64_t>() + i * length, static_cast<size_t>(length)});
    }
    return {name, sequences};
  } catch (const UserError& e) {
    const std::string message = e.what();
    throw UserError(message.find(folder) == std::string::npos ? "valid_data: " + folder + ": " + message
                                                              : message);
  }
}

// Measures the losses of the sets and the statistics of the norms, and samples a text.
class ValidationProbe : public Probe {
 public:
  ValidationProbe(const LanguageWorkload& workload, std::shared_ptr<const TextModel> writer)
      : model_(workload.model()),
        writer_(std::move(writer)),
        prompt_(workload.config().sample_prompt),
        sample_tokens_(workload.config().sample_tokens),
        rows_(workload.train().micro_rows()),
        every_(workload.train().eval_every) {
    const std::vector<std::string> folders = split_list(workload.config().valid_data);
    const std::vector<std::string> names = set_names(folders);
    for (size_t i = 0; i < folders.size(); ++i) sets_.push_back(read_set(folders[i], names[i], workload));
  }

  int64_t every() const override { return every_; }

  std::vector<MetricInfo> metrics() const override {
    return {{.name = "val_loss", .title = "Validation loss", .unit = "nats per token"}};
  }

  Measurement run(const Group& group) override {
    Measurement out;
    out.line = Json::object();
    double sum = 0;
    for (const ValidationSet& set : sets_) {
      const double loss = mean_loss(*model_, set.sequences, rows_, group);
      out.line["valid"][set.name] = loss;
      sum += loss;
    }
    if (!sets_.empty()) {
      out.values.emplace_back("val_loss", sum / static_cast<double>(sets_.size()));
      if (const Json norms = watch_norms(); !norms.empty()) out.line["norms"] = norms;
    }
    if (!prompt_.empty()) out.line["sample"] = sample();
    return out;
  }

 private:
  // The statistics of SeeDNorm's dynamic coefficients, layer by layer, on a sequence of the first set.
  Json watch_norms() {
    Json out = Json::object();
    for (const auto& [name, norm] : model_->norms()) norm->set_watching(true);
    mean_loss(*model_, sets_[0].sequences.narrow(0, 0, 1), 1);
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

  std::string sample() const {
    const GenerateOptions options = {.sampling = kSampling, .max_tokens = sample_tokens_};
    const GenerateResult result = generate(*writer_, {prompt_}, options, [](size_t, std::string_view) {});
    return prompt_ + result.generations[0].text;
  }

  std::shared_ptr<Model> model_;
  std::shared_ptr<const TextModel> writer_;
  std::string prompt_;
  int64_t sample_tokens_, rows_, every_;
  std::vector<ValidationSet> sets_;
};

std::vector<const Task*> tasks_of(const std::string& list) {
  std::vector<std::string> others;
  const std::vector<const Task*> out = named_tasks(split_list(list), &others);
  if (others.empty()) return out;
  std::vector<std::string> known;
  for (const Task& task : all_tasks()) known.push_back(task.name);
  throw UserError("tasks: no task " + quote(others[0]) + did_you_mean(others[0], known) +
                  "; use `all` for every task, and valid_data for text sets");
}

class TasksProbe : public Probe {
 public:
  TasksProbe(const LanguageWorkload& workload, const TextModel& writer)
      : model_(workload.model()), every_(workload.config().tasks_every) {
    const LanguageConfig& config = workload.config();
    const DataFolder folder(config.tasks_data);
    const EncodeLimits limits = {.model_context = config.model.context, .documents = config.tasks_limit};
    for (const Task* task : tasks_of(config.tasks)) {
      tasks_.push_back(prepare_task(*task, folder, writer.tokenizer, limits));
    }
  }

  int64_t every() const override { return every_; }

  std::vector<MetricInfo> metrics() const override {
    std::vector<MetricInfo> out;
    for (const TaskRequests& task : tasks_) {
      out.push_back({.name = "tasks/" + std::string(task.task.name),
                     .title = std::string(task.task.name),
                     .unit = "",
                     .lower_is_better = false});
    }
    return out;
  }

  Measurement run(const Group& group) override {
    const at::NoGradGuard no_grad;
    EvalOptions options;
    options.group = &group;
    Measurement out;
    out.line = {{"tasks", Json::object()}};
    for (const TaskRequests& task : tasks_) {
      const std::string name = task.task.name;
      const double value = evaluate(*model_, task, options).value;
      out.line["tasks"][name] = value;
      out.values.emplace_back("tasks/" + name, value);
    }
    return out;
  }

 private:
  std::shared_ptr<Model> model_;
  int64_t every_;
  std::vector<TaskRequests> tasks_;
};

// The model with its tokenizer, for generating text. Errors (UserError): the data have no tokenizer; the
// prompt is too long.
std::shared_ptr<const TextModel> make_writer(const LanguageWorkload& workload) {
  const LanguageConfig& config = workload.config();
  if (!workload.tokenizer().has_value()) {
    throw UserError((config.tasks.empty() ? "sample_prompt: " : "tasks: ") + config.train_data +
                    " has no tokenizer.json; put the one that the tokens were made with there");
  }
  auto out = std::make_shared<TextModel>(
      TextModel{.model = workload.model(), .tokenizer = *workload.tokenizer(), .eos_ids = {}});
  if (const auto id = out->tokenizer.eos_id()) out->eos_ids.push_back(*id);
  const auto tokens = static_cast<int64_t>(out->tokenizer.encode(config.sample_prompt).size());
  if (tokens >= config.model.context) {
    throw UserError("sample_prompt: has " + std::to_string(tokens) + " tokens, the model's context is " +
                    std::to_string(config.model.context) + "; shorten it");
  }
  return out;
}

}  // namespace

double mean_loss(Model& model, const at::Tensor& sequences, int64_t rows, const Group& group) {
  const at::NoGradGuard no_grad;
  const int64_t length = sequences.size(1) - 1;
  return sum_of_parts(
             group, (sequences.size(0) + rows - 1) / rows,
             [&](int64_t i) {
               const int64_t first = i * rows;
               const at::Tensor part = sequences.narrow(0, first, std::min(rows, sequences.size(0) - first))
                                           .to(model.head().device());
               const at::Tensor hidden = model.hidden(part.narrow(1, 0, length));
               const at::Tensor targets = part.narrow(1, 1, length).flatten();
               return linear_cross_entropy(hidden.flatten(0, 1), model.head(), targets).item<double>();
             }) /
         static_cast<double>(sequences.size(0) * length);
}

std::vector<std::string> set_names(const std::vector<std::string>& folders) {
  std::vector<fs::path> paths;
  for (const std::string& folder : folders) {
    fs::path path = fs::absolute(folder).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    if (std::find(paths.begin(), paths.end(), path) != paths.end()) {
      throw UserError("valid_data: " + quote(folder, 200) + " is listed twice");
    }
    paths.push_back(path);
  }
  std::vector<std::string> out(folders.size());
  std::vector<fs::path> rest = paths;
  for (size_t i = 0; i < out.size(); ++i) out[i] = paths[i].filename().string();
  // All names that are not unique yet get one more folder at a time, until all differ.
  while (std::set<std::string>(out.begin(), out.end()).size() < out.size()) {
    const std::vector<std::string> before = out;
    for (size_t i = 0; i < out.size(); ++i) {
      if (std::count(before.begin(), before.end(), before[i]) < 2) continue;
      rest[i] = rest[i].parent_path();
      out[i] = rest[i].filename().string() + "/" + out[i];
    }
  }
  return out;
}

std::vector<std::unique_ptr<Probe>> language_probes(LanguageWorkload& workload) {
  const LanguageConfig& config = workload.config();
  std::shared_ptr<const TextModel> writer;
  if (!config.sample_prompt.empty() || !config.tasks.empty()) writer = make_writer(workload);
  std::vector<std::unique_ptr<Probe>> out;
  out.push_back(std::make_unique<ValidationProbe>(workload, writer));
  if (!config.tasks.empty()) out.push_back(std::make_unique<TasksProbe>(workload, *writer));
  return out;
}

}  // namespace seednorm::lab
