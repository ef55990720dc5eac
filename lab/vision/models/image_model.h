// A classifier of pictures: what the families share.
#ifndef SEEDNORM_LAB_VISION_MODELS_IMAGE_MODEL_H_
#define SEEDNORM_LAB_VISION_MODELS_IMAGE_MODEL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lab/nn/norm_layer.h"
#include "lab/nn/param_info.h"
#include "lab/vision/models/config.h"
#include "lab/vision/nn/pass.h"

namespace seednorm::lab {

// Names of modules and parameters are timm's.
class ImageModel : public torch::nn::Module {
 public:
  // Activations in this dtype (float32 or bfloat16); parameters stay float32.
  void set_dtype(at::ScalarType dtype) { dtype_ = dtype; }

  // pixels [N, image_size, image_size, 3] -> [N, num_classes] float32.
  at::Tensor logits(const at::Tensor& pixels, const Pass& pass = {});
  // What the last layer sees: [N, num_features] float32.
  at::Tensor features(const at::Tensor& pixels, const Pass& pass = {});
  int64_t num_features() const;

  const ImageModelConfig& config() const { return config_; }
  // Every parameter once, in a fixed order. With layer decay below 1 a parameter's learning rate is scaled by
  // layer_decay^(L + 1 - l), where L is the number of blocks and l is 0 for the first convolution, class
  // token and positions, i + 1 for block i, from 0, and what is before it in its stage, and L + 1 for the
  // head.
  std::vector<ParamInfo> params(double layer_decay = 1) const;
  // The parameters, and the running averages of BatchNorm: all that is kept of a model.
  std::vector<ParamInfo> state() const;
  // Every norm of rows with its name, in a fixed order.
  std::vector<std::pair<std::string, NormLayer*>> norms() const;
  // Of forward and backward.
  virtual double flops_per_image() const = 0;
  // Rows of a picture that the norm of this name sees.
  virtual double norm_rows(const std::string& norm) const = 0;
  // Draws the parameters, each from its own name, so that models that differ in their norms share the other
  // weights. Biases are as the constructor left them.
  virtual void initialize(uint64_t seed);

 protected:
  // Errors (std::invalid_argument): see ImageModelConfig::check.
  explicit ImageModel(const ImageModelConfig& config);

  at::ScalarType dtype() const { return dtype_; }
  std::shared_ptr<NormLayer> make_norm(const std::string& site, int64_t width) const;

 private:
  // pixels -> [N, num_features], pooled and normalized, and from there to [N, num_classes].
  virtual at::Tensor pooled(const at::Tensor& pixels, const Pass& pass) = 0;
  virtual at::Tensor classified(const at::Tensor& features) const = 0;
  at::Tensor pooled_in_pass(const at::Tensor& pixels, const Pass& pass);
  // l of params().
  virtual int64_t layer_of(const std::string& param) const = 0;
  // Tells the norms where the dropout of their dynamic coefficients takes its numbers.
  void set_dropout(const Pass& pass) const;

  ImageModelConfig config_;
  at::ScalarType dtype_ = at::kFloat;
  bool has_dropout_;
};

// Parameters are not initialized.
#define SEEDNORM_IMAGE_MODEL(name) std::shared_ptr<ImageModel> make_##name(const ImageModelConfig& config);
#include "lab/vision/models/image_models.def"
#undef SEEDNORM_IMAGE_MODEL
std::shared_ptr<ImageModel> make_image_model(const ImageModelConfig& config);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MODELS_IMAGE_MODEL_H_
