// OLMo2 (arXiv 2501.00656): norms after the sublayers and on queries and keys,
//
//   h = x + norm(attention(x)),  y = h + norm(SwiGLU(h))
// Names are those of Hugging Face's Olmo2ForCausalLM.
#include "lab/language/models/sublayer.h"

namespace seednorm::lab {
namespace {

class Olmo2Block : public Block {
 public:
  explicit Olmo2Block(const ModelConfig& c) {
    attention_ = register_module("self_attn", std::make_shared<Attention>(attention_config(c)));
    feed_forward_ = register_module("mlp", std::make_shared<SwiGlu>(c.dim, c.ffn_dim));
    attention_norm_ =
        register_module("post_attention_layernorm", std::make_shared<NormLayer>(c.norms["block"], c.dim));
    feed_forward_norm_ =
        register_module("post_feedforward_layernorm", std::make_shared<NormLayer>(c.norms["block"], c.dim));
    if (c.frac_rate > 0) {
      attention_site_ = register_module("attention_site", frac_site(c));
      feed_forward_site_ = register_module("feed_forward_site", frac_site(c));
    }
  }

  Stream forward(const Stream& in, const Surroundings& around, std::vector<AuxiliaryLoss>*) override {
    const Stream h = post_norm(in, *attention_norm_, attention_site_.get(),
                               [&](const at::Tensor& x) { return attention_->forward(x, around); });
    return post_norm(h, *feed_forward_norm_, feed_forward_site_.get(),
                     [&](const at::Tensor& x) { return feed_forward_->forward(x); });
  }

 private:
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<SwiGlu> feed_forward_;
  std::shared_ptr<NormLayer> attention_norm_, feed_forward_norm_;
  std::shared_ptr<FracSite> attention_site_, feed_forward_site_;
};

}  // namespace

std::shared_ptr<Block> make_olmo2_block(const ModelConfig& config) {
  return std::make_shared<Olmo2Block>(config);
}

}  // namespace seednorm::lab
