// What a model costs.
#ifndef SEEDNORM_LAB_LANGUAGE_MODELS_COUNTS_H_
#define SEEDNORM_LAB_LANGUAGE_MODELS_COUNTS_H_

#include "lab/language/models/model.h"

namespace seednorm::lab {

struct Counts {
  int64_t params = 0;
  int64_t active_params = 0;  // that one token meets: of experts, top_k
  int64_t norm_params = 0;    // of all norms
  int64_t extra_params = 0;   // over the same model with RMSNorm everywhere
  // Forward and backward for one token at the full context: 6 for each active matrix element (the embedding
  // counts once, as the head), and attention's two products, 6 * 2 * context * dim a layer, halved by
  // causality.
  double flops_per_token = 0;
};
Counts count(const Model& model);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_MODELS_COUNTS_H_
