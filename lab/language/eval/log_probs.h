// Log-probabilities of tokens, without keeping all logits in memory.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_LOG_PROBS_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_LOG_PROBS_H_

#include <ATen/core/Tensor.h>

#include <stdexcept>

namespace seednorm::lab {

// Thrown for a model whose log-probabilities are not numbers, since metrics computed from them would look
// like results.
class NotFinite : public std::runtime_error {
 public:
  NotFinite()
      : std::runtime_error(
            "the model's log-probabilities are not finite: its weights are damaged, or it diverged") {}
};

// log softmax(h W^T)[target] of each row: hidden [R, D] and head [V, D] in any dtype, targets [R] int64 ->
// [R] float32. Products have hidden's dtype, everything else float32. Logits are computed for a part of
// the vocabulary at a time, and only that part of the head is converted, so that memory is a few times
// kLogitBytes for any R and V. Errors: NotFinite.
at::Tensor log_probs(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& targets);

// Enough columns for an efficient product, but little memory compared with a model.
constexpr int64_t kLogitBytes = int64_t{8} << 20;

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_LOG_PROBS_H_
