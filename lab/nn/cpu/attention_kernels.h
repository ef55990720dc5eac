// The elementwise parts of causal attention, on blocks of scores; on plain arrays, without libtorch.
#ifndef SEEDNORM_LAB_NN_CPU_ATTENTION_KERNELS_H_
#define SEEDNORM_LAB_NN_CPU_ATTENTION_KERNELS_H_

#include <cstdint>

#include "seednorm/dtype.h"

namespace seednorm::lab {

// A block is a number of consecutive queries, of which the first is at position `first` and sees the keys
// 0 .. first, the next one key more; keys = first + queries. dtype is that of scores and of what belongs to
// a query: float32 or float64. Weights and gradients of scores have this dtype as well, or are bfloat16 where
// scores are float32, each rounded once.
struct AttentionBlock {
  DType dtype, weight_dtype;
  int64_t queries, keys, first;
  double scale;
};

// weights[i, j] = exp(scale (scores[i, j] - largest[i])) for the keys j that query i sees, and 0 for
// others; largest[i] is the largest of its scores, inverse[i] = 1 / sum_j weights[i, j] before rounding.
// scores and weights are tiles of `tile` keys, of which `keys` is a multiple: [keys / tile, queries, tile];
// weights may be the scores.
struct AttentionWeightArgs {
  AttentionBlock block;
  int64_t tile;
  const void* scores;
  void *weights, *largest, *inverse;
};
void attention_weights(const AttentionWeightArgs& args);

// With p[j, i] = exp(scale (scores[j, i] - largest[i])) inverse[i] for the keys j that query i sees, and 0
// for others: weights = p and dscores = p (dweights - delta[i]). All are [keys, queries]; weights may be the
// scores, and dscores the dweights. pairs, for bfloat16 alone, receives dscores a second time, as a product
// takes its right side: [ceil(keys / 2), queries, 2], where the last index is that of the key within its
// pair.
struct AttentionGradientArgs {
  AttentionBlock block;
  const void *scores, *dweights, *largest, *inverse, *delta;
  void *weights, *dscores, *pairs;
};
void attention_gradients(const AttentionGradientArgs& args);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_ATTENTION_KERNELS_H_
