// Causal attention of one head on the calling thread, and its gradients.
#ifndef SEEDNORM_LAB_NN_CPU_ATTENTION_HEAD_H_
#define SEEDNORM_LAB_NN_CPU_ATTENTION_HEAD_H_

#include <ATen/core/Tensor.h>

#include <memory>

namespace seednorm::lab {

// q, k and v [T, d] of one head.
struct HeadInputs {
  at::Tensor q, k, v;
};

// Buffers of one thread for heads of one shape. Queries are taken in blocks of kAttentionRows: with
// S = scale Q K^T and P = softmax(S), O = P V. With dP = dO V^T, delta = rowsum(dP P) = rowsum(dO O) and
// dS = P (dP - delta), dV = P^T dO, dQ = scale dS K and dK = scale dS^T Q.
class AttentionHeads {
 public:
  virtual ~AttentionHeads() = default;
  AttentionHeads(const AttentionHeads&) = delete;
  AttentionHeads& operator=(const AttentionHeads&) = delete;

  // Writes out [T, d] and, for the gradients, values [2, T].
  virtual void forward(const HeadInputs& in, const at::Tensor& out, const at::Tensor& values) = 0;

  // The gradients of k and v are sums over all heads that share them: begin_gradients(), backward() for each
  // of these heads, end_gradients().
  virtual void begin_gradients(const at::Tensor& k, const at::Tensor& v) = 0;
  // Writes dq [T, d].
  virtual void backward(const at::Tensor& q, const at::Tensor& out, const at::Tensor& dout,
                        const at::Tensor& values, const at::Tensor& dq) = 0;
  virtual void end_gradients(const at::Tensor& dk, const at::Tensor& dv) = 0;

 protected:
  AttentionHeads() = default;
};

// Rows of scores at a time: with fewer, products are slow; with more, more of what the mask hides is
// computed. Of 64, 128, 256 and 512, 128 is the fastest by a third at 512 tokens and heads of 64.
inline constexpr int64_t kAttentionRows = 128;

// For queries [B, T, H, d]: in float32 (float64 if q is), or with products of bfloat16 matrices where
// product_choice() has them and the processor's matrix units can be used.
std::unique_ptr<AttentionHeads> attention_heads(const at::Tensor& q);

// The two of them. bfloat16_attention_heads() returns nothing where the processor or the width of heads does
// not suit it.
std::unique_ptr<AttentionHeads> wide_attention_heads(const at::Tensor& q);
std::unique_ptr<AttentionHeads> bfloat16_attention_heads(const at::Tensor& q);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_ATTENTION_HEAD_H_
