// The results of an evaluation, as JSON and as a table.
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
  // The value of the metric. For a task with groups it is the unweighted mean over the groups.
  double value = 0, standard_error = 0;
  Scores scores;                         // over all documents with equal weight
  std::map<std::string, Scores> groups;  // of a task that has them
  int64_t requests = 0, cut = 0;         // all requests, and those that were cut to the longest input
  int64_t left_out = 0;                  // documents that do not fit into the model's context
  std::string source;                    // of the texts, if they are not the original's
  double seconds = 0;
};
struct SetResult {
  double loss = 0;  // nats per token: the mean over chunks of each chunk's mean
  double perplexity = 0;
  int64_t tokens = 0, chunks = 0;  // predicted tokens: all but the first of each chunk
  double seconds = 0;
};

// {"metric", "value", "stderr", "docs", "requests", "cut", "seconds", "scores": {"acc", "len_norm",
// "ce_loss", "bpb"}}; "left_out", the number of documents left out, if any; and for a task with groups
// "groups": {name: {"value", "stderr", "docs"}} and "micro", the value over all documents with equal weight.
nlohmann::ordered_json to_json(const TaskResult& result);
// {"loss", "ppl", "tokens", "chunks", "seconds"}
nlohmann::ordered_json to_json(const SetResult& result);

// The results of all tasks and sets: {"tasks": {name: ...}, "perplexity": {name: ...}} with the objects
// above.
std::string results_table(const nlohmann::ordered_json& results);

// Writes each result to a file as soon as it is known, so that an evaluation that was stopped can continue.
class ResultStore {
 public:
  // Creates the folder if necessary.
  explicit ResultStore(std::filesystem::path folder);

  // The result that was kept under this name. Errors (UserError): it has another fingerprint, so it belongs
  // to another model or other questions; the file was altered.
  std::optional<nlohmann::ordered_json> find(const std::string& name, const std::string& fingerprint) const;
  void keep(const std::string& name, const std::string& fingerprint,
            const nlohmann::ordered_json& result) const;
  // Writes all results to eval.json.
  void finish(const nlohmann::ordered_json& results) const;

 private:
  std::filesystem::path file_of(const std::string& name) const;

  std::filesystem::path folder_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_RESULTS_H_
