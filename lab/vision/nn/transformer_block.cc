#include "lab/vision/nn/transformer_block.h"

#include <ATen/TensorOperators.h>

namespace seednorm::lab {

using at::Tensor;

Tensor Residual::sum() const { return branch.defined() ? x + branch : x; }

std::pair<Tensor, Tensor> add_norm(NormLayer& norm, const Residual& in) {
  if (!in.branch.defined()) return {norm.forward(in.x), in.x};
  return norm.add(in.branch, in.x);
}

TransformerBlock::TransformerBlock(int64_t dim, int64_t num_heads, int64_t hidden, const NormSpec& norm) {
  norm1_ = register_module("norm1", std::make_shared<NormLayer>(norm, dim));
  attention_ = register_module("attn", std::make_shared<SelfAttention>(dim, num_heads));
  norm2_ = register_module("norm2", std::make_shared<NormLayer>(norm, dim));
  mlp_ = register_module("mlp", std::make_shared<Mlp>(dim, hidden));
}

Residual TransformerBlock::forward(const Residual& in, const DropPath& drop, int64_t first_branch) const {
  const auto [normalized1, x1] = add_norm(*norm1_, in);
  const auto [normalized2, x2] =
      add_norm(*norm2_, {x1, drop.apply(attention_->forward(normalized1), first_branch)});
  return {x2, drop.apply(mlp_->forward(normalized2), first_branch + 1)};
}

}  // namespace seednorm::lab
