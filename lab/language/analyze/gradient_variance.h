// The variance over batches of the gradient of SeeDNorm's parameters, by number of heads (Section 3.2 of the
// paper).
#ifndef SEEDNORM_LAB_LANGUAGE_ANALYZE_GRADIENT_VARIANCE_H_
#define SEEDNORM_LAB_LANGUAGE_ANALYZE_GRADIENT_VARIANCE_H_

#include <cstdint>
#include <functional>
#include <span>

#include "lab/language/eval/windows.h"
#include "lab/language/models/model.h"

namespace seednorm::lab {

// Sums over all elements of a parameter and over all norms with a dot product.
struct GradientMoments {
  double variance = 0;      // over batches, divided by their number - 1
  double squared_mean = 0;  // the square of the mean over batches
};

struct GradientVariance {
  int64_t heads = 0, batches = 0;
  double loss = 0;  // the mean over batches, in nats per token
  GradientMoments alpha, beta, gamma;
};

struct GradientOptions {
  int64_t batch = 4;  // windows in a batch
  // Receives the number of finished batches, and their number.
  std::function<void(int64_t done, int64_t all)> report = [](int64_t, int64_t) {};
};

// Errors (UserError, on --gradient-heads): there are not two batches; the model has no norms with a dot
// product, or `heads` do not divide the width of one.
void check_gradient_variance(const Model& model, int64_t heads, std::span<const Window> windows,
                             int64_t batch);

// Of the model with this number of heads in each norm with a dot product, and parameters as they are: with
// beta = 0 all numbers of heads are the same function. A batch is a pass over as many windows of the first
// one's size, and those that fill no batch are left out; its loss is the mean over its tokens. The model has
// float32 weights and does not change. Errors: those of check_gradient_variance; Interrupted, if the user
// stops it.
GradientVariance gradient_variance(const Model& model, int64_t heads, std::span<const int64_t> ids,
                                   std::span<const Window> windows, const GradientOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_ANALYZE_GRADIENT_VARIANCE_H_
