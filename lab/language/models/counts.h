// The size and cost of a model.
#ifndef SEEDNORM_LAB_LANGUAGE_MODELS_COUNTS_H_
#define SEEDNORM_LAB_LANGUAGE_MODELS_COUNTS_H_

#include "lab/language/models/model.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

// The FLOPs are those of one token at the full context: 6 for each active matrix element (the embedding
// counts once, as the head), and attention's two products, 6 * 2 * context * dim per layer, halved by
// causality. Those of norms are flops_of_row's, forward and backward.
Counts count(const Model& model);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_MODELS_COUNTS_H_
