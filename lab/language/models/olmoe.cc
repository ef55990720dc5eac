// OLMoE (arXiv 2409.02060): norms before the sublayers and on queries and keys, a mixture of experts,
//
//   h = x + attention(norm(x)),  y = h + MoE(norm(h))
// Names are those of Hugging Face's OlmoeForCausalLM, but for the experts, whose matrices are stacked.
#include "lab/language/models/sublayer.h"

namespace seednorm::lab {
namespace {

class OlmoeBlock : public Block {
 public:
  explicit OlmoeBlock(const ModelConfig& c) {
    attention_ = register_module("self_attn", std::make_shared<Attention>(attention_config(c)));
    experts_ = register_module("mlp", std::make_shared<Moe>(MoeConfig{.dim = c.dim,
                                                                      .hidden = c.ffn_dim,
                                                                      .num_experts = c.num_experts,
                                                                      .top_k = c.top_k,
                                                                      .norm_topk_prob = c.norm_topk_prob}));
    attention_norm_ =
        register_module("input_layernorm", std::make_shared<NormLayer>(c.norms["block"], c.dim));
    experts_norm_ =
        register_module("post_attention_layernorm", std::make_shared<NormLayer>(c.norms["block"], c.dim));
    if (c.frac_rate > 0) {
      attention_site_ = register_module("attention_site", frac_site(c));
      experts_site_ = register_module("experts_site", frac_site(c));
    }
  }

  Stream forward(const Stream& in, const Surroundings& around, std::vector<AuxiliaryLoss>* losses) override {
    const Stream h = pre_norm(in, *attention_norm_, attention_site_.get(),
                              [&](const at::Tensor& x) { return attention_->forward(x, around); });
    return pre_norm(h, *experts_norm_, experts_site_.get(),
                    [&](const at::Tensor& x) { return experts_->forward(x, losses); });
  }

 private:
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<Moe> experts_;
  std::shared_ptr<NormLayer> attention_norm_, experts_norm_;
  std::shared_ptr<FracSite> attention_site_, experts_site_;
};

}  // namespace

std::shared_ptr<Block> make_olmoe_block(const ModelConfig& config) {
  return std::make_shared<OlmoeBlock>(config);
}

}  // namespace seednorm::lab
