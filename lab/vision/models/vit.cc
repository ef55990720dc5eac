// ViT (arXiv 2010.11929) as timm's vit_*_patch16: a class token goes along, and the head sees the mean over
// the patches (global_pool="avg") or the class token ("token").
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>

#include "lab/nn/initial.h"
#include "lab/vision/models/image_model.h"
#include "lab/vision/nn/holder.h"
#include "lab/vision/nn/patch_conv.h"
#include "lab/vision/nn/transformer_block.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr double kClassTokenStd = 1e-6;

class Vit : public ImageModel, public HasRoles {
 public:
  explicit Vit(const ImageModelConfig& c)
      : ImageModel(c), side_(c.image_size / c.patch_size), rates_(branch_rates(c)) {
    cls_token_ = register_parameter("cls_token", at::empty({1, 1, c.dim}));
    pos_embed_ = register_parameter("pos_embed", at::empty({1, side_ * side_ + 1, c.dim}));
    patch_embed_ = register_module("patch_embed", std::make_shared<ModuleHolder>())
                       ->register_module("proj", std::make_shared<PatchConv>(3, c.dim, c.patch_size));
    const auto blocks = register_module("blocks", std::make_shared<ModuleHolder>());
    for (int64_t i = 0; i < c.num_layers; ++i) {
      blocks_.push_back(blocks->register_module(
          std::to_string(i),
          std::make_shared<TransformerBlock>(c.dim, c.num_heads, c.ffn_dim, config().norms["block"])));
    }
    head_norm_ = register_module(c.pool == Pooling::kToken ? "norm" : "fc_norm", make_norm("head", c.dim));
    head_ = register_module("head", std::make_shared<Dense>(c.dim, c.num_classes));
  }

  Role role(const std::string&) const override { return Role::kEmbedding; }

  double flops_per_image() const override {
    const ImageModelConfig& c = config();
    const auto tokens = static_cast<double>(side_ * side_ + 1), width = static_cast<double>(c.dim);
    const double matrices = 4 * width * width + 2 * width * static_cast<double>(c.ffn_dim);
    const double window = 3 * static_cast<double>(c.patch_size * c.patch_size);
    return 6 * (static_cast<double>(c.num_layers) * (tokens * matrices + 2 * tokens * tokens * width) +
                (tokens - 1) * window * width + width * static_cast<double>(c.num_classes));
  }

  double norm_rows(const std::string& norm) const override {
    return norm.starts_with("blocks.") ? static_cast<double>(side_ * side_ + 1) : 1;
  }

  // The patch embedding keeps the initial values of PyTorch's convolutions.
  void initialize(uint64_t seed) override {
    ImageModel::initialize(seed);
    const at::NoGradGuard no_grad;
    cls_token_.normal_(0, kClassTokenStd, generator_of(seed, "cls_token"));
    const double bound = 1 / std::sqrt(static_cast<double>(patch_embed_->weight[0].numel()));
    patch_embed_->weight.uniform_(-bound, bound, generator_of(seed, "patch_embed.proj.weight"));
    patch_embed_->bias.uniform_(-bound, bound, generator_of(seed, "patch_embed.proj.bias"));
  }

 private:
  // Both branches of a block have its rate.
  static std::vector<double> branch_rates(const ImageModelConfig& c) {
    std::vector<double> out;
    for (const double rate : drop_path_rates(c.drop_path, c.num_layers)) out.insert(out.end(), {rate, rate});
    return out;
  }

  Tensor pooled(const Tensor& pixels, const Pass& pass) override {
    const int64_t rows = pixels.size(0), width = config().dim;
    const Tensor patches = patch_embed_->forward(pixels).view({rows, side_ * side_, width});
    const Tensor tokens = at::cat({cls_token_.to(dtype()).expand({rows, 1, width}), patches}, 1);
    const DropPath drop(rates_, rows, pass, pixels.device());
    Residual stream = {tokens + pos_embed_.to(dtype()), {}};
    for (size_t i = 0; i < blocks_.size(); ++i) {
      stream = blocks_[i]->forward(stream, drop, 2 * static_cast<int64_t>(i));
    }
    const Tensor out = stream.sum();
    // timm normalizes every token and then takes the first.
    return head_norm_->forward(config().pool == Pooling::kToken ? out.select(1, 0)
                                                                : out.narrow(1, 1, side_ * side_).mean(1));
  }

  Tensor classified(const Tensor& features) const override { return head_->forward(features); }

  int64_t layer_of(const std::string& param) const override {
    if (param == "cls_token" || param == "pos_embed" || param.starts_with("patch_embed.")) return 0;
    if (param.starts_with("blocks.")) return std::stoll(param.substr(7)) + 1;
    return config().num_layers + 1;
  }

  int64_t side_;               // patches
  std::vector<double> rates_;  // of drop path, by branch
  Tensor cls_token_, pos_embed_;
  std::shared_ptr<PatchConv> patch_embed_;
  std::vector<std::shared_ptr<TransformerBlock>> blocks_;
  std::shared_ptr<NormLayer> head_norm_;
  std::shared_ptr<Dense> head_;
};

}  // namespace

std::shared_ptr<ImageModel> make_vit(const ImageModelConfig& config) { return std::make_shared<Vit>(config); }

}  // namespace seednorm::lab
