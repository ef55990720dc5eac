// Attention of every token to every token.
#ifndef SEEDNORM_LAB_VISION_NN_SELF_ATTENTION_H_
#define SEEDNORM_LAB_VISION_NN_SELF_ATTENTION_H_

#include <memory>

#include "lab/vision/nn/dense.h"

namespace seednorm::lab {

// Rows of `qkv` are those of queries, keys and values in this order, each head by head; scores are divided by
// the root of a head's width. Names are timm's.
class SelfAttention : public torch::nn::Module {
 public:
  // Errors (std::invalid_argument): heads that do not divide the width.
  SelfAttention(int64_t dim, int64_t num_heads);
  // x [N, T, D] -> [N, T, D].
  at::Tensor forward(const at::Tensor& x) const;

 private:
  int64_t num_heads_;
  std::shared_ptr<Dense> qkv_, proj_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_SELF_ATTENTION_H_
