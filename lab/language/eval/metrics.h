// Computes a task's result from the log-likelihoods of choices.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_METRICS_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_METRICS_H_

#include <map>
#include <string>
#include <vector>

#include "lab/language/eval/task.h"

namespace seednorm::lab {

// Means over documents, all with equal weight.
struct Scores {
  double acc = 0;       // share of documents whose right choice has the largest log-likelihood
  double len_norm = 0;  // the same for log-likelihood / characters
  double ce_loss = 0;   // nats per character of the right choice
  double bpb = 0;       // bits per byte of the right choice
  int64_t documents = 0;
  int64_t questions = 0;  // fewer than documents if several ask the same question

  double value(Metric metric) const { return metric == Metric::kAcc ? acc : len_norm; }
  // The standard error of value(): sqrt(p (1 - p) / n). Answers to the same question are not independent, so
  // n is the number of questions.
  double standard_error(Metric metric) const;
};

// Characters and bytes are the continuation's without its leading blank. Of equal values the first one
// counts; a document with a NaN counts as answered wrongly. log_likelihoods[document][choice].
Scores score(const std::vector<Document>& documents, const std::vector<std::vector<double>>& log_likelihoods);

// The same for each group of documents; empty for tasks without groups.
std::map<std::string, Scores> score_groups(const std::vector<Document>& documents,
                                           const std::vector<std::vector<double>>& log_likelihoods);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_METRICS_H_
