// OLMo2 (arXiv 2501.00656): norms after the sublayers and on queries and keys,
//
//   h = x + norm(attention(x)),  y = h + norm(SwiGLU(h))
// Names are those of Hugging Face's Olmo2ForCausalLM, and with norms at other places those of Gemma2's.
#include "lab/language/models/sublayer.h"

namespace seednorm::lab {
namespace {

class Olmo2Block : public Block {
 public:
  Olmo2Block(const ModelConfig& c, int64_t layer)
      : attention_(register_module("self_attn", std::make_shared<Attention>(attention_config(c)))),
        feed_forward_(register_module("mlp", std::make_shared<SwiGlu>(c.dim, c.ffn_dim))),
        around_attention_(*this, c, layer, "input_layernorm", "post_attention_layernorm"),
        around_feed_forward_(*this, c, layer, "pre_feedforward_layernorm", "post_feedforward_layernorm") {
    around_attention_.add_site(*this, c, "attention_site");
    around_feed_forward_.add_site(*this, c, "feed_forward_site");
  }

  Stream forward(const Stream& in, const Surroundings& around, std::vector<AuxiliaryLoss>*) override {
    const Stream h =
        around_attention_.through(in, [&](const at::Tensor& x) { return attention_->forward(x, around); });
    return around_feed_forward_.through(h, [&](const at::Tensor& x) { return feed_forward_->forward(x); });
  }

 private:
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<SwiGlu> feed_forward_;
  Connection around_attention_, around_feed_forward_;
};

}  // namespace

std::shared_ptr<Block> make_olmo2_block(const ModelConfig& config, int64_t layer) {
  return std::make_shared<Olmo2Block>(config, layer);
}

}  // namespace seednorm::lab
