// The schedule of the learning rate.
#ifndef SEEDNORM_LAB_TRAIN_SCHEDULE_H_
#define SEEDNORM_LAB_TRAIN_SCHEDULE_H_

#include <cstdint>

#include "lab/train/config.h"

namespace seednorm::lab {

// Linear warm-up over config.warmup units (tokens, images) from 0 to lr, then a cosine to min_lr_ratio lr
// at the last step. `step` counts from 0; units_per_step is the number of units in a step.
double learning_rate(const TrainConfig& config, int64_t step, int64_t units_per_step);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_SCHEDULE_H_
