// ConvNeXt (arXiv 2201.03545), by timm's names. Channels come last everywhere, so that each norm sees rows of
// them without a copy.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>

#include "lab/vision/models/image_model.h"
#include "lab/vision/nn/depthwise_conv.h"
#include "lab/vision/nn/drop_path.h"
#include "lab/vision/nn/holder.h"
#include "lab/vision/nn/mlp.h"
#include "lab/vision/nn/patch_conv.h"
#include "lab/vision/nn/site_norm.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr int64_t kKernel = 7, kHidden = 4;  // the MLP's width, times the block's

// x + gamma mlp(norm(conv(x))), gamma a factor for each channel.
class ConvNextBlock : public torch::nn::Module, public HasRoles {
 public:
  ConvNextBlock(int64_t width, double layer_scale, const NormSpec& norm)
      : gamma_(register_parameter("gamma", at::full({width}, layer_scale))) {
    conv_ = register_module("conv_dw", std::make_shared<DepthwiseConv>(width, kKernel));
    norm_ = SiteNorm(*this, "norm", norm, width);
    mlp_ = register_module("mlp", std::make_shared<Mlp>(width, kHidden * width));
  }

  // x [N, H, W, C] -> the same.
  Tensor forward(const Tensor& x, const DropPath& drop, int64_t branch, bool training) const {
    return x + drop.apply(mlp_->forward(norm_.forward(conv_->forward(x), training), gamma_), branch);
  }

  Role role(const std::string&) const override { return Role::kGain; }

 private:
  Tensor gamma_;
  std::shared_ptr<DepthwiseConv> conv_;
  SiteNorm norm_;
  std::shared_ptr<Mlp> mlp_;
};

struct Stage {
  SiteNorm norm;                     // before it, of all stages but the first
  std::shared_ptr<PatchConv> halve;  // its sides
  std::vector<std::shared_ptr<ConvNextBlock>> blocks;
};

class ConvNext : public ImageModel {
 public:
  explicit ConvNext(const ImageModelConfig& c)
      : ImageModel(c), rates_(drop_path_rates(c.drop_path, c.num_blocks())) {
    const auto stem = register_module("stem", std::make_shared<ModuleHolder>());
    stem_ = stem->register_module("0", std::make_shared<PatchConv>(3, c.stage_dims[0], c.patch_size));
    stem_norm_ = SiteNorm(*stem, "1", config().norms["stem"], c.stage_dims[0]);
    const auto stages = register_module("stages", std::make_shared<ModuleHolder>());
    for (size_t s = 0; s < c.stage_dims.size(); ++s) {
      add_stage(*stages->register_module(std::to_string(s), std::make_shared<ModuleHolder>()), s);
    }
    const auto head = register_module("head", std::make_shared<ModuleHolder>());
    head_norm_ = SiteNorm(*head, "norm", config().norms["head"], c.stage_dims.back());
    head_ = head->register_module("fc", std::make_shared<Dense>(c.stage_dims.back(), c.num_classes));
  }

  double flops_per_image() const override {
    double products = static_cast<double>(head_->weight.numel());
    auto side = static_cast<double>(config().image_size / config().patch_size);
    products += side * side * static_cast<double>(stem_->weight.numel());
    for (const Stage& stage : stages_) {
      if (stage.halve) side /= 2;
      if (stage.halve) products += side * side * static_cast<double>(stage.halve->weight.numel());
      for (const auto& block : stage.blocks) {
        for (const ParamInfo& p : params_of(*block)) {
          if (p.role == Role::kMatrix) products += side * side * static_cast<double>(p.tensor.numel());
        }
      }
    }
    return 6 * products;
  }

  double norm_rows(const std::string& norm) const override {
    if (norm.starts_with("head.")) return 1;
    auto side = static_cast<double>(config().image_size / config().patch_size);
    if (norm.starts_with("stages.")) {
      const int halvings = std::stoi(norm.substr(7)) - (norm.find(".downsample.") != std::string::npos);
      side = std::ldexp(side, -halvings);
    }
    return side * side;
  }

 private:
  void add_stage(torch::nn::Module& module, size_t s) {
    const ImageModelConfig& c = config();
    const int64_t width = c.stage_dims[s];
    Stage& stage = stages_.emplace_back();
    if (s > 0) {
      const auto downsample = module.register_module("downsample", std::make_shared<ModuleHolder>());
      stage.norm = SiteNorm(*downsample, "0", c.norms["downsample"], c.stage_dims[s - 1]);
      stage.halve =
          downsample->register_module("1", std::make_shared<PatchConv>(c.stage_dims[s - 1], width, 2));
    }
    const auto blocks = module.register_module("blocks", std::make_shared<ModuleHolder>());
    for (int64_t b = 0; b < c.stage_layers[s]; ++b) {
      stage.blocks.push_back(blocks->register_module(
          std::to_string(b), std::make_shared<ConvNextBlock>(width, c.layer_scale, c.norms["block"])));
    }
  }

  Tensor pooled(const Tensor& pixels, const Pass& pass) override {
    const DropPath drop(rates_, pixels.size(0), pass, pixels.device());
    Tensor x = stem_norm_.forward(stem_->forward(pixels), pass.training);
    int64_t branch = 0;
    for (const Stage& stage : stages_) {
      if (stage.halve) x = stage.halve->forward(stage.norm.forward(x, pass.training));
      for (const auto& block : stage.blocks) x = block->forward(x, drop, branch++, pass.training);
    }
    return head_norm_.forward(x.mean(at::IntArrayRef{1, 2}), pass.training);
  }

  Tensor classified(const Tensor& features) const override { return head_->forward(features); }

  // "stages.S.downsample..." is one with the first block of its stage.
  int64_t layer_of(const std::string& param) const override {
    if (param.starts_with("stem.")) return 0;
    if (!param.starts_with("stages.")) return config().num_blocks() + 1;
    size_t end = 0;
    const auto stage = static_cast<size_t>(std::stoll(param.substr(7), &end));
    int64_t layer = 1;
    for (size_t s = 0; s < stage; ++s) layer += config().stage_layers[s];
    const std::string rest = param.substr(7 + end);
    return rest.starts_with(".blocks.") ? layer + std::stoll(rest.substr(8)) : layer;
  }

  std::vector<double> rates_;
  std::shared_ptr<PatchConv> stem_;
  SiteNorm stem_norm_, head_norm_;
  std::vector<Stage> stages_;
  std::shared_ptr<Dense> head_;
};

}  // namespace

std::shared_ptr<ImageModel> make_convnext(const ImageModelConfig& config) {
  return std::make_shared<ConvNext>(config);
}

}  // namespace seednorm::lab
