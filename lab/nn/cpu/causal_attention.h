// Causal attention for training: our own on CPUs, libtorch's elsewhere.
#ifndef SEEDNORM_LAB_NN_CPU_CAUSAL_ATTENTION_H_
#define SEEDNORM_LAB_NN_CPU_CAUSAL_ATTENTION_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// softmax(q k^T / sqrt(d), position t sees 0 .. t) v for each head; each head of k and v serves H / Hkv heads
// of q. q [B, T, H, d], k and v [B, T, Hkv, d] -> [B, T, H, d], in their dtype. Scores are float32 (float64
// for float64) and never in memory as a whole; backward recomputes them.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_CAUSAL_ATTENTION_H_
