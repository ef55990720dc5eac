// Activation checkpointing: a block's activations are recomputed in backward.
#ifndef SEEDNORM_LAB_LANGUAGE_MODELS_RECOMPUTE_H_
#define SEEDNORM_LAB_LANGUAGE_MODELS_RECOMPUTE_H_

#include <vector>

#include "lab/language/models/model.h"

namespace seednorm::lab {

// Equals block.forward(in, {rope}, losses) bit for bit, but keeps only `in`. block and rope must outlive
// backward.
Stream checkpointed(Block& block, const Stream& in, const Rope& rope, std::vector<AuxiliaryLoss>* losses);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_MODELS_RECOMPUTE_H_
