#include "lab/vision/models/image_model.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "lab/vision/data/draws.h"
#include "lab/vision/models/initialize.h"
#include "lab/vision/nn/batch_statistics.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

const ImageModelConfig& checked(const ImageModelConfig& config) {
  config.check();
  return config;
}

}  // namespace

ImageModel::ImageModel(const ImageModelConfig& config) : config_(checked(config)) {
  config_.norms.set_eps(config_.norm_eps);
  has_dropout_ = std::any_of(config_.norms.begin(), config_.norms.end(),
                             [](const NormSites::Entry& e) { return e.spec.options.dropout > 0; });
}

std::shared_ptr<NormLayer> ImageModel::make_norm(const std::string& site, int64_t width) const {
  return std::make_shared<NormLayer>(config_.norms[site], width);
}

Tensor ImageModel::logits(const Tensor& pixels, const Pass& pass) {
  return classified(pooled_in_pass(pixels, pass)).to(at::kFloat);
}

Tensor ImageModel::features(const Tensor& pixels, const Pass& pass) {
  return pooled_in_pass(pixels, pass).to(at::kFloat);
}

int64_t ImageModel::num_features() const {
  return config_.family == ImageFamily::k_vit ? config_.dim : config_.stage_dims.back();
}

Tensor ImageModel::pooled_in_pass(const Tensor& pixels, const Pass& pass) {
  if (has_dropout_) set_dropout(pass);
  return pooled(pixels.to(dtype_), pass);
}

void ImageModel::set_dropout(const Pass& pass) const {
  uint64_t layer = 0;
  for (const auto& [name, norm] : norms()) {
    Draws draws(pass.seed, DrawsFor::kDropout, static_cast<uint64_t>(pass.step), layer++);
    const uint64_t high = draws.bits(), low = draws.bits();
    std::optional<DropoutDraws> state;
    if (pass.training && norm->spec().options.dropout > 0) {
      state = {.seed = high << 32 | low, .offset = static_cast<uint64_t>(pass.first_row)};
    }
    norm->set_dropout_draws(state);
  }
}

std::vector<ParamInfo> ImageModel::params(double layer_decay) const {
  std::vector<ParamInfo> out = params_of(*this);
  if (layer_decay == 1) return out;
  const int64_t last = config_.num_blocks() + 1;
  for (ParamInfo& p : out) p.lr_scale = std::pow(layer_decay, static_cast<double>(last - layer_of(p.name)));
  return out;
}

std::vector<ParamInfo> ImageModel::state() const {
  std::vector<ParamInfo> out = params();
  for (const auto& module : named_modules({}, /*include_self=*/false)) {
    if (dynamic_cast<const BatchStatisticsNorm*>(module.value().get()) == nullptr) continue;
    for (const auto& buffer : module.value()->named_buffers()) {
      out.push_back({module.key() + "." + buffer.key(), buffer.value(), Role::kStatic});
    }
  }
  return out;
}

std::vector<std::pair<std::string, NormLayer*>> ImageModel::norms() const { return norms_of(*this); }

// timm cuts the normal distribution off at an absolute 2, which is never.
void ImageModel::initialize(uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const ParamInfo& p : params()) {
    if (p.role != Role::kMatrix && p.role != Role::kEmbedding) continue;
    Tensor(p.tensor).normal_(0, config_.init_std, generator_of(seed, p.name));
  }
}

std::shared_ptr<ImageModel> make_image_model(const ImageModelConfig& config) {
  switch (config.family) {
#define SEEDNORM_IMAGE_MODEL(name) \
  case ImageFamily::k_##name:      \
    return make_##name(config);
#include "lab/vision/models/image_models.def"
#undef SEEDNORM_IMAGE_MODEL
  }
  throw std::invalid_argument("family: unknown");
}

}  // namespace seednorm::lab
