// The log-probability of each token of a text.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_SCORE_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_SCORE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "lab/language/eval/windows.h"
#include "lab/language/models/model.h"

namespace seednorm::lab {

struct ScoreOptions {
  int64_t batch = 4;  // windows in one pass
  // Receives the number of finished windows, and the total number.
  std::function<void(int64_t done, int64_t all)> report = [](int64_t, int64_t) {};
};

struct TokenScores {
  // log p(token i + 1 | tokens of its window before it), in nats; NaN if no window predicts the token.
  std::vector<float> log_probs;  // one fewer than ids
  int64_t tokens = 0;            // predicted tokens
  double total = 0;              // -sum of their log-probabilities

  double nll() const { return total / static_cast<double>(tokens); }
};

// Ids are below the model's vocab_size, and windows within its context. Memory is needed for
// the activations of one pass and a few times kLogitBytes of logits. Errors: Interrupted, if the
// user stops it; NotFinite (log_probs.h).
TokenScores score_tokens(Model& model, std::span<const int64_t> ids, std::span<const Window> windows,
                         const ScoreOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_SCORE_H_
