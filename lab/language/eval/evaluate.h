// Evaluates a model on tasks and text sets. The model's grad mode and dtype do not change, and nothing is
// printed.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_EVALUATE_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_EVALUATE_H_

#include <functional>
#include <vector>

#include "lab/dist/group.h"
#include "lab/language/eval/perplexity_set.h"
#include "lab/language/eval/requests.h"
#include "lab/language/eval/results.h"
#include "lab/language/models/model.h"

namespace seednorm::lab {

struct EvalOptions {
  int64_t batch = 32;  // least number of requests or chunks per pass; a document's stay together
  // Receives the number of finished requests or chunks, and the total number.
  std::function<void(int64_t done, int64_t all)> report = [](int64_t, int64_t) {};
  // Its ranks divide the passes over requests or chunks among them, and all get the same result.
  const Group* group = &Group::alone();
};

// Errors: Interrupted, if the user stops it (lab/base/interrupt.h); NotFinite (log_probs.h).
TaskResult evaluate(Model& model, const TaskRequests& requests, const EvalOptions& options);

// log p(continuation | context) of each choice of each document. What the choices of a document share is
// computed once: the context, and duplicate choices, which therefore have equal values.
std::vector<std::vector<double>> log_likelihoods(Model& model, const TaskRequests& requests,
                                                 const EvalOptions& options);

SetResult evaluate(Model& model, const PerplexitySet& set, const EvalOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_EVALUATE_H_
