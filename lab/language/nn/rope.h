// Rotary position embedding (arXiv 2104.09864) in the form of Hugging Face's models: columns i and i + d/2 of
// a head are a pair.
#ifndef SEEDNORM_LAB_LANGUAGE_NN_ROPE_H_
#define SEEDNORM_LAB_LANGUAGE_NN_ROPE_H_

#include <ATen/core/Tensor.h>

#include <vector>

namespace torch::nn {
class Module;
}

namespace seednorm::lab {

class Rope {
 public:
  // Angles of positions 0 .. context - 1; head_width even.
  Rope(int64_t head_width, int64_t context, double theta);
  // From here on the tables move to other devices with this module, of which they become buffers.
  void follow(torch::nn::Module& module);

  // x [B, T, H, head_width] -> the same shape and dtype; row b has positions first[b] .. first[b] + T - 1,
  // which start at 0 without `first`. Errors (std::invalid_argument): positions beyond the context.
  at::Tensor apply(const at::Tensor& x, const std::vector<int64_t>& first = {}) const;

  // The same for rows of T tokens at `positions` [T] int64 on the CPU, in any order. Errors
  // (std::invalid_argument): positions beyond the context.
  Rope at(const at::Tensor& positions) const;

 private:
  Rope() = default;

  at::Tensor cos_, sin_;  // [context, head_width / 2], float32
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_NN_ROPE_H_
