#include "lab/vision/models/dit.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>

#include "lab/vision/models/initialize.h"
#include "lab/vision/nn/holder.h"
#include "lab/vision/nn/mlp.h"
#include "lab/vision/nn/self_attention.h"
#include "lab/vision/nn/sincos_positions.h"

namespace seednorm::lab {

using at::Tensor;

namespace {

constexpr int64_t kTimeWidth = 256;  // numbers that a timestep is written in
constexpr double kTableStd = 0.02;   // of labels and the layers of timesteps

class LabelTable : public torch::nn::Module, public HasRoles {
 public:
  LabelTable(int64_t rows, int64_t dim) : weight(register_parameter("weight", at::empty({rows, dim}))) {}
  Role role(const std::string&) const override { return Role::kEmbedding; }
  Tensor weight;
};

// "0" is the activation in front, as in DiT's checkpoints.
std::shared_ptr<Dense> add_modulation(torch::nn::Module& module, int64_t dim, int64_t parts) {
  return module.register_module("adaLN_modulation", std::make_shared<ModuleHolder>())
      ->register_module("1", std::make_shared<Dense>(dim, parts * dim));
}

const DitConfig& checked(const DitConfig& config) {
  config.check();
  return config;
}

}  // namespace

//   x = x + gate1 attention(norm1(x) (1 + scale1) + shift1)
//   x = x + gate2 mlp(norm2(x) (1 + scale2) + shift2)
class DitBlock : public torch::nn::Module {
 public:
  DitBlock(const DitConfig& c, const NormSpec& norm1, const NormSpec& norm2) {
    norm1_ = register_module("norm1", std::make_shared<NormLayer>(norm1, c.dim, Affine::kOfSample));
    attention_ = register_module("attn", std::make_shared<SelfAttention>(c.dim, c.num_heads));
    norm2_ = register_module("norm2", std::make_shared<NormLayer>(norm2, c.dim, Affine::kOfSample));
    mlp_ = register_module("mlp", std::make_shared<Mlp>(c.dim, c.ffn_dim, Gelu::kTanh));
    modulation_ = add_modulation(*this, c.dim, 6);
  }

  // x [N, T, D], condition [N, D].
  Tensor forward(const Tensor& x, const Tensor& condition) const {
    const std::vector<Tensor> m = modulation_->forward(condition).chunk(6, 1);
    const auto gated = [](const Tensor& gate, const Tensor& branch, const Tensor& to) {
      return at::addcmul(to, gate.unsqueeze(1), branch);
    };
    const Tensor middle = gated(m[2], attention_->forward(norm1_->forward(x, m[1], m[0])), x);
    return gated(m[5], mlp_->forward(norm2_->forward(middle, m[4], m[3])), middle);
  }

 private:
  std::shared_ptr<NormLayer> norm1_, norm2_;
  std::shared_ptr<SelfAttention> attention_;
  std::shared_ptr<Mlp> mlp_;
  std::shared_ptr<Dense> modulation_;
};

Dit::Dit(const DitConfig& config)
    : config_(checked(config)),
      side_(config.input_size / config.patch_size),
      positions_(register_buffer("positions", sincos_positions(config.dim, side_))) {
  const DitConfig& c = config_;
  NormSpec mlp_norm = c.norms["block"];
  if (mlp_norm.options.eps == c.norm_eps) mlp_norm.options.eps = Options().eps;  // is not its own
  mlp_norm = mlp_norm.with_eps(c.mlp_norm_eps > 0 ? c.mlp_norm_eps : c.norm_eps);
  config_.norms.set_eps(c.norm_eps);
  patches_ = register_module("x_embedder", std::make_shared<ModuleHolder>())
                 ->register_module("proj", std::make_shared<PatchConv>(c.channels, c.dim, c.patch_size));
  const auto time = register_module("t_embedder", std::make_shared<ModuleHolder>())
                        ->register_module("mlp", std::make_shared<ModuleHolder>());
  time1_ = time->register_module("0", std::make_shared<Dense>(kTimeWidth, c.dim));
  time2_ = time->register_module("2", std::make_shared<Dense>(c.dim, c.dim));
  labels_ = register_module("y_embedder", std::make_shared<ModuleHolder>())
                ->register_module("embedding_table", std::make_shared<LabelTable>(c.num_classes + 1, c.dim))
                ->weight;
  const auto blocks = register_module("blocks", std::make_shared<ModuleHolder>());
  for (int64_t i = 0; i < c.num_layers; ++i) {
    blocks_.push_back(blocks->register_module(std::to_string(i),
                                              std::make_shared<DitBlock>(c, c.norms["block"], mlp_norm)));
  }
  const auto last = register_module("final_layer", std::make_shared<ModuleHolder>());
  final_norm_ = last->register_module(
      "norm_final", std::make_shared<NormLayer>(c.norms["final"], c.dim, Affine::kOfSample));
  final_linear_ = last->register_module(
      "linear", std::make_shared<Dense>(c.dim, c.patch_size * c.patch_size * 2 * c.channels));
  final_modulation_ = add_modulation(*last, c.dim, 2);
}

void Dit::initialize(uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const ParamInfo& p : params()) {
    Tensor value = p.tensor;
    const bool modulates = p.name.find("adaLN_modulation") != std::string::npos;
    if (p.role == Role::kEmbedding || (p.role == Role::kMatrix && p.name.starts_with("t_embedder."))) {
      fill_normal(p, kTableStd, seed);
    } else if (p.role == Role::kMatrix) {
      fill_xavier(p, seed);
      if (config_.zero_init && (modulates || p.name == "final_layer.linear.weight")) value.zero_();
    } else if (p.name.ends_with("bias")) {
      value.zero_();
    }
  }
}

Tensor Dit::condition(const Tensor& t, const Tensor& labels) const {
  const Tensor k = at::arange(kTimeWidth / 2, t.options().dtype(at::kFloat));
  const Tensor frequencies = (k * (-std::log(10000.0) / static_cast<double>(config_.time_divisor))).exp();
  const Tensor angles = t.to(at::kFloat).unsqueeze(1) * frequencies;
  const Tensor numbers = at::cat({angles.cos(), angles.sin()}, 1);
  const Tensor time = time2_->forward(at::silu(time1_->forward(numbers)));
  return at::silu(time + at::embedding(labels_, labels));
}

Tensor Dit::forward(const Tensor& x, const Tensor& t, const Tensor& labels) {
  const int64_t rows = x.size(0), patch = config_.patch_size, size = config_.input_size;
  const Tensor c = condition(t, labels).to(dtype_);
  Tensor tokens =
      patches_->forward(x.to(dtype_)).view({rows, side_ * side_, config_.dim}) + positions_.to(dtype_);
  for (const auto& block : blocks_) tokens = block->forward(tokens, c);
  const std::vector<Tensor> m = final_modulation_->forward(c).chunk(2, 1);
  const Tensor out = final_linear_->forward(final_norm_->forward(tokens, m[1], m[0]));
  return out.view({rows, side_, side_, patch, patch, 2 * config_.channels})
      .transpose(2, 3)
      .reshape({rows, size, size, 2 * config_.channels})
      .to(at::kFloat);
}

std::vector<std::pair<std::string, NormLayer*>> Dit::norms() const { return norms_of(*this); }

double Dit::norm_rows(const std::string&) const { return static_cast<double>(side_ * side_); }

double Dit::flops_per_image() const {
  const DitConfig& c = config_;
  const auto tokens = static_cast<double>(side_ * side_), width = static_cast<double>(c.dim),
             layers = static_cast<double>(c.num_layers);
  double of_tokens = 0, of_samples = 0;
  for (const ParamInfo& p : params()) {
    if (p.role != Role::kMatrix) continue;
    const bool once = p.name.starts_with("t_embedder.") || p.name.find("adaLN") != std::string::npos;
    (once ? of_samples : of_tokens) += static_cast<double>(p.tensor.numel());
  }
  return 6 * (tokens * of_tokens + of_samples + layers * 2 * tokens * tokens * width);
}

}  // namespace seednorm::lab
