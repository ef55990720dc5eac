// What a run measures of its model at intervals: losses of validation sets, tasks, what the norms do, a text.
#ifndef SEEDNORM_LAB_TRAIN_VALIDATION_H_
#define SEEDNORM_LAB_TRAIN_VALIDATION_H_

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lab/language/eval/requests.h"
#include "lab/language/generate/text_model.h"
#include "lab/train/trainer.h"

namespace seednorm::lab {

class Validation {
 public:
  // Reads all that will be asked: mistakes in it show now and not after hours. `tokenizer` is a
  // tokenizer.json, that of the training data; empty: they have none. Errors (UserError): a set, a task or
  // its files are missing, or fit neither tokenizer nor context; a text or a task is wanted and there is no
  // tokenizer.
  Validation(const TrainConfig& config, std::shared_ptr<Model> model, const std::filesystem::path& tokenizer);

  bool has_tasks() const { return !tasks_.empty(); }

  // Members for a line of metrics.jsonl: "valid": {SET: nats a token} and "norms": {NORM: its DynamicStats},
  // if there are sets and norms that have them; "sample": the prompt and how the model goes on, if there is
  // one.
  nlohmann::ordered_json losses(Trainer& trainer) const;
  // "tasks": {TASK: the value of its metric}.
  nlohmann::ordered_json tasks() const;

 private:
  struct Set {
    std::string name;
    at::Tensor sequences;  // [N, context + 1], in their order
  };
  void read_sets();
  void read_tasks();
  nlohmann::ordered_json watch_norms(Trainer& trainer) const;
  std::string sample() const;

  TrainConfig config_;
  std::shared_ptr<Model> model_;
  std::vector<Set> sets_;
  std::vector<TaskRequests> tasks_;
  std::optional<TextModel> writer_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_VALIDATION_H_
