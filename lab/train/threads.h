// Threads and how they compute while a model is trained.
#ifndef SEEDNORM_LAB_TRAIN_THREADS_H_
#define SEEDNORM_LAB_TRAIN_THREADS_H_

#include <cstdint>

namespace seednorm::lab {

// Tensors are computed by `count` threads from now on, or by one a core if it is 0, and they round subnormal
// numbers to zero (where the processor can). A model that is stuck has vanishing gradients, and matrix
// products of subnormal numbers take several times as long.
void set_training_threads(int64_t count);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_THREADS_H_
