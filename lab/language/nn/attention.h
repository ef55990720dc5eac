// Causal self-attention with grouped keys and values, rotary positions and normalized queries and keys.
#ifndef SEEDNORM_LAB_LANGUAGE_NN_ATTENTION_H_
#define SEEDNORM_LAB_LANGUAGE_NN_ATTENTION_H_

#include <memory>

#include "lab/language/nn/kv_cache.h"
#include "lab/language/nn/packing.h"
#include "lab/language/nn/rope.h"
#include "lab/nn/linear.h"
#include "lab/nn/norm_layer.h"

namespace seednorm::lab {

struct AttentionConfig {
  int64_t dim = 0, num_heads = 0, num_kv_heads = 0;
  NormSpec qk_norm;
  bool qk_norm_per_head =
      true;  // as in the paper; false: over all heads at once, as in Hugging Face's OLMo2 and OLMoE
};

// The positions of tokens, and what they attend to besides each other. At most one of past and packing is
// set.
struct Surroundings {
  const Rope& rope;
  const KvLayer* past = nullptr;  // tokens continue its sequences and are appended to them, without gradients
  const Packing* packing = nullptr;  // a row holds several sequences
};

class Attention : public torch::nn::Module {
 public:
  explicit Attention(const AttentionConfig& config);

  // x [B, T, D] -> [B, T, D].
  at::Tensor forward(const at::Tensor& x, const Surroundings& around) const;

 private:
  at::Tensor normalized(const at::Tensor& x, NormLayer& norm, int64_t heads) const;

  AttentionConfig config_;
  int64_t head_width_;
  std::shared_ptr<Linear> q_proj_, k_proj_, v_proj_, o_proj_;
  std::shared_ptr<NormLayer> q_norm_, k_norm_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_NN_ATTENTION_H_
