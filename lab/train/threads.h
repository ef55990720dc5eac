// The threads of training, and their floating-point mode.
#ifndef SEEDNORM_LAB_TRAIN_THREADS_H_
#define SEEDNORM_LAB_TRAIN_THREADS_H_

#include <cstdint>

namespace seednorm::lab {

// From now on tensors are computed by `count` threads, or by one per core if it is 0, which round subnormal
// numbers to zero if the processor can. A model that is stuck has vanishing gradients, and matrix products of
// subnormal numbers take several times as long.
void set_training_threads(int64_t count);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_THREADS_H_
