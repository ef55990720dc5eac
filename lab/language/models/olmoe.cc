// OLMoE (arXiv 2409.02060): norms before the sublayers and on queries and keys, a mixture of experts,
//
//   h = x + attention(norm(x)),  y = h + MoE(norm(h))
// Names are those of Hugging Face's OlmoeForCausalLM, but for the experts, whose matrices are stacked; with
// norms at other places, the norms' names are those of Gemma2's.
#include "lab/language/models/sublayer.h"

namespace seednorm::lab {
namespace {

const char* name_before_experts(const ModelConfig& c) {
  return c.placement() == NormPlacement::kPre ? "post_attention_layernorm" : "pre_feedforward_layernorm";
}

class OlmoeBlock : public Block {
 public:
  OlmoeBlock(const ModelConfig& c, int64_t layer)
      : attention_(register_module("self_attn", std::make_shared<Attention>(attention_config(c)))),
        experts_(
            register_module("mlp", std::make_shared<Moe>(MoeConfig{.dim = c.dim,
                                                                   .hidden = c.ffn_dim,
                                                                   .num_experts = c.num_experts,
                                                                   .top_k = c.top_k,
                                                                   .norm_topk_prob = c.norm_topk_prob}))),
        around_attention_(*this, c, layer, "input_layernorm", "post_attention_layernorm"),
        around_experts_(*this, c, layer, name_before_experts(c), "post_feedforward_layernorm") {
    around_attention_.add_site(*this, c, "attention_site");
    around_experts_.add_site(*this, c, "experts_site");
  }

  Stream forward(const Stream& in, const Surroundings& around, std::vector<AuxiliaryLoss>* losses) override {
    const Stream h =
        around_attention_.through(in, [&](const at::Tensor& x) { return attention_->forward(x, around); });
    return around_experts_.through(h, [&](const at::Tensor& x) { return experts_->forward(x, losses); });
  }

 private:
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<Moe> experts_;
  Connection around_attention_, around_experts_;
};

}  // namespace

std::shared_ptr<Block> make_olmoe_block(const ModelConfig& config, int64_t layer) {
  return std::make_shared<OlmoeBlock>(config, layer);
}

}  // namespace seednorm::lab
