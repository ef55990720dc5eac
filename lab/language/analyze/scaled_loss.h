// The loss of a trained model when its activations have another scale than in training.
#ifndef SEEDNORM_LAB_LANGUAGE_ANALYZE_SCALED_LOSS_H_
#define SEEDNORM_LAB_LANGUAGE_ANALYZE_SCALED_LOSS_H_

#include <cstdint>
#include <span>

#include "lab/language/eval/score.h"

namespace seednorm::lab {

// What is multiplied.
enum class Scaled {
  kStream,  // the residual stream, once, behind the embedding; sublayers then add to it as before
  kNorms,   // the input of every norm (Eq. 5): RMSNorm undoes it, but for its eps
};
const char* name_of(Scaled what);  // "stream", "norms"

// The mean loss in nats per token, as by score_tokens; NaN if it is not finite. The model is as before
// afterwards. Errors: Interrupted, if the user stops it.
double scaled_loss(Model& model, Scaled what, double scale, std::span<const int64_t> ids,
                   std::span<const Window> windows, const ScoreOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_ANALYZE_SCALED_LOSS_H_
