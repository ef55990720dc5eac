// Cross entropy and its gradient of rows of logits; on plain arrays, without libtorch.
#ifndef SEEDNORM_LAB_NN_CPU_CROSS_ENTROPY_KERNEL_H_
#define SEEDNORM_LAB_NN_CPU_CROSS_ENTROPY_KERNEL_H_

#include <cstdint>

#include "seednorm/dtype.h"

namespace seednorm::lab {

// losses[i] = log sum_j exp(logits[i, j]) - logits[i, targets[i]], and 0 where the target is negative. Where
// `gradients` is true, logits becomes the gradient of the sum of the losses, softmax(logits) with 1 less at
// the target, rounded once; rows whose target is negative become 0. logits [rows, classes] is float32,
// float64 or bfloat16. A row's numbers depend on nothing else.
struct CrossEntropyArgs {
  DType dtype;
  int64_t rows, classes;
  void* logits;
  const int64_t* targets;
  double* losses;
  bool gradients;
};
void cross_entropy_rows(const CrossEntropyArgs& args);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_CROSS_ENTROPY_KERNEL_H_
