// DiT (arXiv 2212.09748): a transformer that predicts the noise in pictures or latents, told the timestep and
// the label by the gains and offsets of its norms.
#ifndef SEEDNORM_LAB_VISION_MODELS_DIT_H_
#define SEEDNORM_LAB_VISION_MODELS_DIT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lab/nn/norm_layer.h"
#include "lab/nn/param_info.h"
#include "lab/vision/models/dit_config.h"
#include "lab/vision/nn/dense.h"
#include "lab/vision/nn/patch_conv.h"

namespace seednorm::lab {

class DitBlock;

// Names of modules and parameters are those of DiT's own checkpoints.
class Dit : public torch::nn::Module {
 public:
  // Parameters are not initialized. Errors (std::invalid_argument): see DitConfig::check.
  explicit Dit(const DitConfig& config);
  // Draws the parameters, each from its own name, so that models that differ in their norms share the others:
  // Xavier's uniform for linear layers, a normal distribution for labels and timesteps, and zeros.
  void initialize(uint64_t seed);

  // Activations in this dtype (float32 or bfloat16); parameters stay float32.
  void set_dtype(at::ScalarType dtype) { dtype_ = dtype; }

  // x [N, input_size, input_size, channels], timesteps t [N] and labels [N] int64, where num_classes means
  // none -> [N, input_size, input_size, 2 channels] float32: noise, and what the variances come from.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels);

  const DitConfig& config() const { return config_; }
  // Every parameter once, in a fixed order.
  std::vector<ParamInfo> params() const { return params_of(*this); }
  // Every norm with its name, in a fixed order.
  std::vector<std::pair<std::string, NormLayer*>> norms() const;
  // Of forward and backward.
  double flops_per_image() const;
  // Rows of a picture that the norm of this name sees.
  double norm_rows(const std::string& norm) const;

 private:
  // [N, dim] float32, behind the SiLU that all modulations begin with.
  at::Tensor condition(const at::Tensor& t, const at::Tensor& labels) const;

  DitConfig config_;
  int64_t side_;  // patches
  at::ScalarType dtype_ = at::kFloat;
  at::Tensor positions_;  // [side^2, dim]
  at::Tensor labels_;     // [num_classes + 1, dim]
  std::shared_ptr<PatchConv> patches_;
  std::shared_ptr<Dense> time1_, time2_, final_modulation_, final_linear_;
  std::vector<std::shared_ptr<DitBlock>> blocks_;
  std::shared_ptr<NormLayer> final_norm_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MODELS_DIT_H_
