// Log-probabilities of tokens without all logits in memory.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_LOG_PROBS_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_LOG_PROBS_H_

#include <ATen/core/Tensor.h>

#include <stdexcept>

namespace seednorm::lab {

// A model whose log-probabilities are not numbers: what is computed from them would look like a result.
class NotFinite : public std::runtime_error {
 public:
  NotFinite()
      : std::runtime_error(
            "the model's log-probabilities are not finite: its weights are damaged, or it diverged") {}
};

// log softmax(h W^T)[target] of each row: hidden [R, D] and head [V, D] in any dtype, targets [R] int64 ->
// [R] float32. Products are taken in hidden's dtype, everything else in float32. Logits are made for a part
// of the vocabulary at a time, and only that part of the head is converted: a few times kLogitBytes, whatever
// R and V. Errors: NotFinite.
at::Tensor log_probs(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& targets);

// Enough columns for an efficient product, and little beside a model.
constexpr int64_t kLogitBytes = int64_t{8} << 20;

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_LOG_PROBS_H_
