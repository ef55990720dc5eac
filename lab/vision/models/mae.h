// MAE (arXiv 2111.06377): an encoder that sees some patches of a picture, and a small decoder that makes the
// others from them.
#ifndef SEEDNORM_LAB_VISION_MODELS_MAE_H_
#define SEEDNORM_LAB_VISION_MODELS_MAE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lab/nn/norm_layer.h"
#include "lab/nn/param_info.h"
#include "lab/vision/models/mae_config.h"
#include "lab/vision/nn/dense.h"
#include "lab/vision/nn/patch_conv.h"
#include "lab/vision/nn/transformer_block.h"

namespace seednorm::lab {

// Which of L patches an encoder sees of each of N pictures.
struct Masking {
  at::Tensor keep;     // [N, K] int64: their places, in the order in which the encoder sees them
  at::Tensor restore;  // [N, L] int64: where each patch is among those that are kept, then those that are not
  at::Tensor mask;     // [N, L] float32: 1 for a patch that is masked
};
// The `kept` patches with the least noise [N, L].
Masking mask_by(const at::Tensor& noise, int64_t kept);

// The patches of pixels [N, H, W, 3] that a decoder is to make, [N, L, patch * patch * 3] in the order (row,
// column, channel); normalized: each (x - mean) / sqrt(variance + 1e-6), with the unbiased variance.
at::Tensor mae_targets(const at::Tensor& pixels, int64_t patch, bool normalized);
// The mean square error over the masked patches of all pictures.
at::Tensor mae_loss(const at::Tensor& prediction, const at::Tensor& targets, const at::Tensor& mask);
// Patches back to pictures: [N, side^2, patch * patch * 3] -> [N, side * patch, side * patch, 3].
at::Tensor unpatched(const at::Tensor& patches, int64_t patch);

// Names of modules and parameters are those of MAE's own checkpoints.
class Mae : public torch::nn::Module, public HasRoles {
 public:
  // Parameters are not initialized. Errors (std::invalid_argument): see MaeConfig::check.
  explicit Mae(const MaeConfig& config);
  // Draws the parameters, each from its own name, so that models that differ in their norms share the others.
  void initialize(uint64_t seed);

  // Activations in this dtype (float32 or bfloat16); parameters stay float32.
  void set_dtype(at::ScalarType dtype) { dtype_ = dtype; }

  // pixels [N, image_size, image_size, 3] -> what the decoder makes of each patch, the visible ones too:
  // [N, L, patch * patch * 3] float32.
  at::Tensor forward(const at::Tensor& pixels, const Masking& masking);

  const MaeConfig& config() const { return config_; }
  // Every parameter once, in a fixed order.
  std::vector<ParamInfo> params() const { return params_of(*this); }
  // Every norm with its name, in a fixed order.
  std::vector<std::pair<std::string, NormLayer*>> norms() const;
  // Of forward and backward.
  double flops_per_image() const;
  // Rows of a picture that the norm of this name sees.
  double norm_rows(const std::string& norm) const;

  Role role(const std::string&) const override { return Role::kEmbedding; }

 private:
  // Patches after a class token, through the blocks and the norm: [N, T, D] -> [N, T, D].
  struct Tower {
    std::vector<std::shared_ptr<TransformerBlock>> blocks;
    std::shared_ptr<NormLayer> norm;
    at::Tensor forward(const at::Tensor& tokens) const;
  };
  at::Tensor encode(const at::Tensor& pixels, const Masking& masking) const;

  MaeConfig config_;
  at::ScalarType dtype_ = at::kFloat;
  at::Tensor positions_, decoder_positions_;  // [L, D] of the patches; the class token's is 0
  at::Tensor cls_token_, mask_token_;
  std::shared_ptr<PatchConv> patches_;
  Tower encoder_, decoder_;
  std::shared_ptr<Dense> to_decoder_, to_pixels_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MODELS_MAE_H_
