#include "lab/vision/mae/config.h"

#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {
namespace {

constexpr int64_t kMaxSamples = 256;

using checks::require;

}  // namespace

std::unique_ptr<WorkloadConfig> mae_config() { return std::make_unique<MaeWorkloadConfig>(); }

Settings MaeWorkloadConfig::settings() {
  MaeConfig& m = model;
  Settings out = {
      {"image_size", "height and width of a picture", m.image_size, Scope::kMeasurement},
      {"patch_size", "side of the patches", m.patch_size},
      {"dim", "width of the encoder", m.dim},
      {"num_layers", "its layers", m.num_layers},
      {"num_heads", "its heads of attention", m.num_heads},
      {"ffn_dim", "hidden width of its MLPs", m.ffn_dim},
      {"decoder_dim", "width of the decoder", m.decoder_dim},
      {"decoder_layers", "its layers", m.decoder_layers},
      {"decoder_heads", "its heads of attention", m.decoder_heads},
      {"decoder_ffn_dim", "hidden width of its MLPs", m.decoder_ffn_dim},
      {"mask_ratio", "part of the patches that the encoder does not see", m.mask_ratio, Scope::kMeasurement},
      {"normalize_pixels", "the target is each patch with mean 0 and variance 1", m.normalize_pixels,
       Scope::kMeasurement},
      {"norm_eps", "eps of every norm that has one", m.norm_eps},
  };
  for (auto& [site, spec] : m.norms) out.emplace_back("norm." + site.name, site.help, spec);
  for (Setting& s : picture_settings(pictures)) out.push_back(std::move(s));
  const Settings rest = {
      {"padded_crop", "crops of the picture with a border of 4, in place of resized ones", padded_crop},
      {"min_area", "smallest part of a picture that a resized crop takes", min_area},
      {"normalization", "of pixels: imagenet, cifar or symmetric",
       [this](std::string_view value) {
         named_normalization(std::string(value));
         normalization = value;
       },
       [this] { return normalization; }, Scope::kMeasurement},
      {"sample_count", "pictures that are reconstructed for the report; 0: none", sample_count},
  };
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

void MaeWorkloadConfig::check() const {
  model.check();
  pictures.check();
  require(min_area > 0 && min_area <= 1, "min_area", "more than 0, at most 1", min_area);
  require(sample_count >= 0 && sample_count <= kMaxSamples, "sample_count", "0 to 256", sample_count);
}

AugmentOptions MaeWorkloadConfig::training_augment() const {
  AugmentOptions out = AugmentOptions::mae(static_cast<int>(model.image_size));
  if (padded_crop) out.crop = Crop::kPadded;
  out.area.low = min_area;
  out.flip = pictures.flip;
  out.normalization = named_normalization(normalization);
  return out;
}

AugmentOptions MaeWorkloadConfig::evaluation_augment() const {
  // The whole short side of small pictures, 224 of 256 pixels of others.
  AugmentOptions out =
      AugmentOptions::evaluation(static_cast<int>(model.image_size), padded_crop ? 1 : 0.875);
  out.normalization = named_normalization(normalization);
  return out;
}

}  // namespace seednorm::lab
