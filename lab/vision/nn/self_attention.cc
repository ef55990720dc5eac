#include "lab/vision/nn/self_attention.h"

#include <ATen/Functions.h>

#include <stdexcept>

namespace seednorm::lab {

using at::Tensor;

SelfAttention::SelfAttention(int64_t dim, int64_t num_heads) : num_heads_(num_heads) {
  if (num_heads < 1 || dim % num_heads != 0) {
    throw std::invalid_argument("num_heads: expected a divisor of the width " + std::to_string(dim) +
                                ", got " + std::to_string(num_heads));
  }
  qkv_ = register_module("qkv", std::make_shared<Dense>(dim, 3 * dim));
  proj_ = register_module("proj", std::make_shared<Dense>(dim, dim));
}

Tensor SelfAttention::forward(const Tensor& x) const {
  const int64_t n = x.size(0), tokens = x.size(1), dim = x.size(2);
  // Together, since the gradient of each part alone would be added to zeros of all three.
  const std::vector<Tensor> parts =
      qkv_->forward(x).view({n, tokens, 3, num_heads_, dim / num_heads_}).unbind(2);
  const auto part = [&](size_t i) { return parts[i].transpose(1, 2); };  // [N, H, T, d]
  const Tensor out = at::scaled_dot_product_attention(part(0), part(1), part(2));
  return proj_->forward(out.transpose(1, 2).reshape({n, tokens, dim}));
}

}  // namespace seednorm::lab
