#include "lab/language/nn/attention.h"

#include "lab/nn/cpu/causal_attention.h"

namespace seednorm::lab {
using at::Tensor;

namespace {

// q [B, T, H, d], k and v [B, T, Hkv, d] -> [B, T, H, d].
Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Surroundings& around) {
  if (around.packing != nullptr) return around.packing->attend(q, k, v);
  if (around.past == nullptr) return causal_attention(q, k, v);
  around.past->append(k, v);
  return around.past->is_new() ? causal_attention(q, k, v) : around.past->attend(q);
}

}  // namespace

Attention::Attention(const AttentionConfig& config)
    : config_(config), head_width_(config.dim / config.num_heads) {
  const int64_t kv = config.num_kv_heads * head_width_;
  q_proj_ = register_module("q_proj", std::make_shared<Linear>(config.dim, config.dim));
  k_proj_ = register_module("k_proj", std::make_shared<Linear>(config.dim, kv));
  v_proj_ = register_module("v_proj", std::make_shared<Linear>(config.dim, kv));
  o_proj_ = register_module("o_proj", std::make_shared<Linear>(config.dim, config.dim));
  const bool each = config.qk_norm_per_head;
  q_norm_ =
      register_module("q_norm", std::make_shared<NormLayer>(config.qk_norm, each ? head_width_ : config.dim));
  k_norm_ = register_module("k_norm", std::make_shared<NormLayer>(config.qk_norm, each ? head_width_ : kv));
}

Tensor Attention::normalized(const Tensor& x, NormLayer& norm, int64_t heads) const {
  const auto split = [&](const Tensor& t) { return t.view({t.size(0), t.size(1), heads, head_width_}); };
  return config_.qk_norm_per_head ? norm.forward(split(x)) : split(norm.forward(x));
}

Tensor Attention::forward(const Tensor& x, const Surroundings& around) const {
  static const std::vector<int64_t> kFromTheBegin;
  const std::vector<int64_t>& first = around.past == nullptr ? kFromTheBegin : *around.past->lengths;
  const int64_t kv_heads = config_.num_kv_heads;
  const Tensor q = around.rope.apply(normalized(q_proj_->forward(x), *q_norm_, config_.num_heads), first);
  const Tensor k = around.rope.apply(normalized(k_proj_->forward(x), *k_norm_, kv_heads), first);
  const Tensor v = v_proj_->forward(x).view({x.size(0), x.size(1), kv_heads, head_width_});
  return o_proj_->forward(attend(q, k, v, around).flatten(2));
}

}  // namespace seednorm::lab
