// What comes out of an evaluation, as JSON and as a table.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_RESULTS_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_RESULTS_H_

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "lab/language/eval/metrics.h"

namespace seednorm::lab {

struct TaskResult {
  Metric metric = Metric::kAcc;
  // Of the metric. A task with groups has the mean over its groups, whatever their sizes.
  double value = 0, standard_error = 0;
  Scores scores;                         // over all documents alike
  std::map<std::string, Scores> groups;  // of a task that has them
  int64_t requests = 0, cut = 0;         // and of these, cut to the longest input
  int64_t left_out = 0;                  // documents that the model's context cannot hold
  std::string source;                    // of the texts, if they are not the original's
  double seconds = 0;
};
struct SetResult {
  double loss = 0;  // nats per token: the mean over chunks of each chunk's mean
  double perplexity = 0;
  int64_t tokens = 0, chunks = 0;  // tokens that were predicted: all but the first of each chunk
  double seconds = 0;
};

// {"metric", "value", "stderr", "docs", "requests", "cut", "seconds", "scores": {"acc", "len_norm",
// "ce_loss", "bpb"}}; where documents were left out "left_out", how many; and of a task with groups
// "groups": {name: {"value", "stderr", "docs"}} and "micro", the value over all documents alike.
nlohmann::ordered_json to_json(const TaskResult& result);
// {"loss", "ppl", "tokens", "chunks", "seconds"}
nlohmann::ordered_json to_json(const SetResult& result);

// Results of a task or set each: {"tasks": {name: ...}, "perplexity": {name: ...}} with what the functions
// above give.
std::string results_table(const nlohmann::ordered_json& results);

// Keeps each result in a file as soon as it is there, so that an evaluation that was stopped goes on.
class ResultStore {
 public:
  // Makes the folder if it is not there.
  explicit ResultStore(std::filesystem::path folder);

  // What was kept under this name. Errors (UserError): it belongs to another fingerprint, so to another model
  // or other questions; it is not what was kept.
  std::optional<nlohmann::ordered_json> find(const std::string& name, const std::string& fingerprint) const;
  void keep(const std::string& name, const std::string& fingerprint,
            const nlohmann::ordered_json& result) const;
  // All together, as eval.json.
  void finish(const nlohmann::ordered_json& results) const;

 private:
  std::filesystem::path file_of(const std::string& name) const;

  std::filesystem::path folder_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_RESULTS_H_
