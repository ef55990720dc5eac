// The connection of sublayers with the residual stream.
#ifndef SEEDNORM_LAB_LANGUAGE_MODELS_SUBLAYER_H_
#define SEEDNORM_LAB_LANGUAGE_MODELS_SUBLAYER_H_

#include <cmath>
#include <memory>
#include <utility>

#include "lab/language/models/model.h"

namespace seednorm::lab {

inline AttentionConfig attention_config(const ModelConfig& c) {
  return {.dim = c.dim,
          .num_heads = c.num_heads,
          .num_kv_heads = c.num_kv_heads,
          .qk_norm = c.norms["qk"],
          .qk_norm_per_head = c.qk_norm_per_head};
}

// Connects one sublayer T with the stream: by its norms, which ModelConfig::placement() places, and by its
// Frac-Connection if the model has them.
class Connection {
 public:
  // Registers the norms with `block`, under the name of the one before T and of the one behind it.
  Connection(torch::nn::Module& block, const ModelConfig& c, int64_t layer, const char* before,
             const char* behind)
      : placement_(c.placement()),
        scale_(c.norm_depth_scaling ? 1 / std::sqrt(static_cast<double>(layer + 1)) : 1) {
    const auto norm = [&](const char* name) {
      return block.register_module(name, std::make_shared<NormLayer>(c.norms["block"], c.dim));
    };
    if (placement_ == NormPlacement::kPre || placement_ == NormPlacement::kPeri) before_ = norm(before);
    if (placement_ != NormPlacement::kPre) behind_ = norm(behind);
  }

  // Registers the Frac-Connection, if there is one. A block first makes all norms: parameters are in the
  // order in which modules are registered, and sums over them are too.
  void add_site(torch::nn::Module& block, const ModelConfig& c, const char* name) {
    if (c.frac_rate == 0) return;
    site_ = block.register_module(name, std::make_shared<FracSite>(c.dim, c.frac_rate, c.norm_eps));
  }

  // The stream behind the sublayer; work(x) is T(x) of x [B, T, D].
  template <class Work>
  Stream through(const Stream& in, const Work& work) const {
    const bool is_post = placement_ == NormPlacement::kPost;
    if (site_ != nullptr) {
      const at::Tensor h = joined(in);
      const FracSite::Read read = site_->read(h);
      const at::Tensor x = before_ ? scaled(before_->forward(read.input)) : read.input;
      if (is_post) return {scaled(behind_->forward(site_->write(work(x), read))), {}};
      return {site_->write(behind(work(x)), read), {}};
    }
    if (before_ == nullptr) {
      const at::Tensor x = joined(in);
      if (is_post) return {scaled(behind_->add(work(x), x).first), {}};
      return {x + behind(work(x)), {}};
    }
    if (!in.delta.defined()) return {in.x, behind(work(scaled(before_->forward(in.x))))};
    const auto [normalized, sum] = before_->add(in.delta, in.x);
    return {sum, behind(work(scaled(normalized)))};
  }

 private:
  // Adds the last term of a plain residual, which is otherwise kept separate until a norm adds it.
  static at::Tensor joined(const Stream& s) { return s.delta.defined() ? s.x + s.delta : s.x; }
  at::Tensor scaled(const at::Tensor& y) const { return scale_ == 1 ? y : y * scale_; }
  at::Tensor behind(const at::Tensor& y) const { return behind_ ? scaled(behind_->forward(y)) : y; }

  NormPlacement placement_;
  double scale_;
  std::shared_ptr<NormLayer> before_, behind_;  // null where the placement has none
  std::shared_ptr<FracSite> site_;              // null for a plain residual
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_MODELS_SUBLAYER_H_
