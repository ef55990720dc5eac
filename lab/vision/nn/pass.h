// What a pass through a model is for: where its random numbers come from.
#ifndef SEEDNORM_LAB_VISION_NN_PASS_H_
#define SEEDNORM_LAB_VISION_NN_PASS_H_

#include <cstdint>

namespace seednorm::lab {

// Rows first_row, first_row + 1, ... of the batch of a step. What is drawn for a row depends on (seed, step,
// row) alone: not on micro-batches, ranks or the norms of the model.
struct Pass {
  bool training = false;  // drop path and dropout are on
  uint64_t seed = 0;
  int64_t step = 0, first_row = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_PASS_H_
