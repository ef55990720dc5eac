#include "lab/vision/models/mae.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>

#include "lab/vision/models/initialize.h"
#include "lab/vision/nn/holder.h"
#include "lab/vision/nn/sincos_positions.h"

namespace seednorm::lab {

using at::Tensor;

namespace {

constexpr double kTokenStd = 0.02;
constexpr double kTargetEps = 1e-6;

const MaeConfig& checked(const MaeConfig& config) {
  config.check();
  return config;
}

// Rows ids [N, K] of x [N, T, D] -> [N, K, D].
Tensor rows_of(const Tensor& x, const Tensor& ids) {
  return x.gather(1, ids.unsqueeze(-1).expand({-1, -1, x.size(2)}));
}

std::vector<std::shared_ptr<TransformerBlock>> add_blocks(torch::nn::Module& module, int64_t layers,
                                                          int64_t dim, int64_t heads, int64_t hidden,
                                                          const NormSpec& norm) {
  std::vector<std::shared_ptr<TransformerBlock>> out;
  for (int64_t i = 0; i < layers; ++i) {
    out.push_back(module.register_module(std::to_string(i),
                                         std::make_shared<TransformerBlock>(dim, heads, hidden, norm)));
  }
  return out;
}

}  // namespace

Masking mask_by(const Tensor& noise, int64_t kept) {
  const Tensor order = noise.argsort(/*stable=*/true, 1, /*descending=*/false);
  const Tensor restore = order.argsort(/*stable=*/true, 1, /*descending=*/false);
  return {order.narrow(1, 0, kept), restore, (restore >= kept).to(at::kFloat)};
}

Tensor mae_targets(const Tensor& pixels, int64_t patch, bool normalized) {
  const Tensor x = patches_of(pixels, patch).flatten(1, 2);
  if (!normalized) return x;
  const auto [variance, mean] = at::var_mean(x, {-1}, /*correction=*/1, /*keepdim=*/true);
  return (x - mean) / (variance + kTargetEps).sqrt();
}

Tensor mae_loss(const Tensor& prediction, const Tensor& targets, const Tensor& mask) {
  return ((prediction - targets).pow(2).mean(-1) * mask).sum() / mask.sum();
}

Tensor unpatched(const Tensor& patches, int64_t patch) {
  const int64_t n = patches.size(0), side = std::lround(std::sqrt(static_cast<double>(patches.size(1))));
  return patches.reshape({n, side, side, patch, patch, -1})
      .transpose(2, 3)
      .reshape({n, side * patch, side * patch, -1});
}

Tensor Mae::Tower::forward(const Tensor& tokens) const {
  const DropPath none(std::vector<double>(2 * blocks.size()), tokens.size(0), Pass());
  Residual stream = {tokens, {}};
  for (size_t i = 0; i < blocks.size(); ++i) {
    stream = blocks[i]->forward(stream, none, 2 * static_cast<int64_t>(i));
  }
  return add_norm(*norm, stream).first;
}

Mae::Mae(const MaeConfig& config) : config_(checked(config)) {
  config_.norms.set_eps(config_.norm_eps);
  const MaeConfig& c = config_;
  const int64_t side = c.image_size / c.patch_size;
  positions_ = register_buffer("positions", sincos_positions(c.dim, side));
  decoder_positions_ = register_buffer("decoder_positions", sincos_positions(c.decoder_dim, side));
  cls_token_ = register_parameter("cls_token", at::empty({1, 1, c.dim}));
  mask_token_ = register_parameter("mask_token", at::empty({1, 1, c.decoder_dim}));
  patches_ = register_module("patch_embed", std::make_shared<ModuleHolder>())
                 ->register_module("proj", std::make_shared<PatchConv>(3, c.dim, c.patch_size));
  encoder_.blocks = add_blocks(*register_module("blocks", std::make_shared<ModuleHolder>()), c.num_layers,
                               c.dim, c.num_heads, c.ffn_dim, c.norms["encoder"]);
  encoder_.norm = register_module("norm", std::make_shared<NormLayer>(c.norms["encoder"], c.dim));
  to_decoder_ = register_module("decoder_embed", std::make_shared<Dense>(c.dim, c.decoder_dim));
  decoder_.blocks =
      add_blocks(*register_module("decoder_blocks", std::make_shared<ModuleHolder>()), c.decoder_layers,
                 c.decoder_dim, c.decoder_heads, c.decoder_ffn_dim, c.norms["decoder"]);
  decoder_.norm =
      register_module("decoder_norm", std::make_shared<NormLayer>(c.norms["decoder"], c.decoder_dim));
  to_pixels_ = register_module("decoder_pred",
                               std::make_shared<Dense>(c.decoder_dim, 3 * c.patch_size * c.patch_size));
}

void Mae::initialize(uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const ParamInfo& p : params()) {
    if (p.role == Role::kEmbedding) fill_normal(p, kTokenStd, seed);
    if (p.role == Role::kMatrix) fill_xavier(p, seed);
  }
  // The bias of a convolution keeps PyTorch's initial values; those of linear layers are 0.
  const double bound = 1 / std::sqrt(static_cast<double>(patches_->weight[0].numel()));
  patches_->bias.uniform_(-bound, bound, generator_of(seed, "patch_embed.proj.bias"));
}

Tensor Mae::encode(const Tensor& pixels, const Masking& masking) const {
  const int64_t rows = pixels.size(0), width = config_.dim;
  const Tensor all = patches_->forward(pixels.to(dtype_)).view({rows, -1, width}) + positions_.to(dtype_);
  return encoder_.forward(
      at::cat({cls_token_.to(dtype_).expand({rows, 1, width}), rows_of(all, masking.keep)}, 1));
}

Tensor Mae::forward(const Tensor& pixels, const Masking& masking) {
  const Tensor seen = to_decoder_->forward(encode(pixels, masking));  // [N, 1 + K, D]
  const int64_t rows = seen.size(0), kept = masking.keep.size(1), masked = config_.num_patches() - kept;
  const Tensor shuffled = at::cat(
      {seen.narrow(1, 1, kept), mask_token_.to(dtype_).expand({rows, masked, config_.decoder_dim})}, 1);
  const Tensor patches = rows_of(shuffled, masking.restore) + decoder_positions_.to(dtype_);
  const Tensor out = decoder_.forward(at::cat({seen.narrow(1, 0, 1), patches}, 1));
  return to_pixels_->forward(out).narrow(1, 1, config_.num_patches()).to(at::kFloat);
}

std::vector<std::pair<std::string, NormLayer*>> Mae::norms() const { return norms_of(*this); }

double Mae::norm_rows(const std::string& norm) const {
  const int64_t patches = norm.starts_with("decoder_") ? config_.num_patches() : config_.num_kept();
  return static_cast<double>(patches + 1);
}

double Mae::flops_per_image() const {
  const MaeConfig& c = config_;
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  const auto of_tower = [&](int64_t layers, int64_t dim, int64_t hidden, int64_t tokens) {
    const double width = number(dim), length = number(tokens);
    return number(layers) * (length * width * (4 * width + 2 * number(hidden)) + 2 * length * length * width);
  };
  const double all = number(c.num_patches()), seen = number(c.num_kept() + 1);
  const double window = 3 * number(c.patch_size) * number(c.patch_size);
  return 6 * (of_tower(c.num_layers, c.dim, c.ffn_dim, c.num_kept() + 1) +
              of_tower(c.decoder_layers, c.decoder_dim, c.decoder_ffn_dim, c.num_patches() + 1) +
              all * window * number(c.dim) + (all + 1) * window * number(c.decoder_dim) +
              seen * number(c.dim) * number(c.decoder_dim));
}

}  // namespace seednorm::lab
