#include "lab/vision/diffuse/config.h"

#include <stdexcept>

#include "lab/vision/diffusion/noise_schedule.h"
#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {
namespace {

constexpr int64_t kMaxSamples = 256, kPictureChannels = 3;

using checks::require;

}  // namespace

std::unique_ptr<WorkloadConfig> diffuse_config() { return std::make_unique<DiffuseConfig>(); }

DiffuseConfig::DiffuseConfig() {
  model.channels = kPictureChannels;
  model.num_classes = 0;
  average = {.decay = 0.9999, .warmup = false};
}

Settings DiffuseConfig::settings() {
  DitConfig& m = model;
  Settings out = {
      {"input_size", "height and width of a picture", m.input_size, Scope::kMeasurement},
      {"channels", "3: of pictures; others, as 4: of latents, which train_data then has", m.channels,
       Scope::kMeasurement},
      {"num_classes", "classes; 0: those of the data", m.num_classes, Scope::kMeasurement},
      {"patch_size", "side of the patches", m.patch_size},
      {"dim", "width", m.dim},
      {"num_layers", "layers", m.num_layers},
      {"num_heads", "heads of attention", m.num_heads},
      {"ffn_dim", "hidden width of the MLPs", m.ffn_dim},
      {"zero_init", "layers that modulate, and the last one, begin with 0", m.zero_init},
      {"time_divisor", "of the frequencies of timesteps: 128 as DiT's own code, 127 as diffusers",
       m.time_divisor},
      {"norm_eps", "eps of every norm that has one", m.norm_eps},
  };
  for (auto& [site, spec] : m.norms) out.emplace_back("norm." + site.name, site.help, spec);
  for (Setting& s : picture_settings(pictures)) out.push_back(std::move(s));
  const Settings rest = {
      {"latent_scale", "factor of latents", latent_scale, Scope::kMeasurement},
      {"diffusion_steps", "steps from a picture to noise", diffusion_steps, Scope::kMeasurement},
      {"label_dropout", "probability that a picture is shown without its label", label_dropout},
      {"sample_count", "pictures that are made for the report; 0: none", sample_count},
      {"sample_steps", "steps from noise to such a picture", sample_steps},
      {"cfg_scale", "scale of classifier-free guidance for them; 1: none", cfg_scale},
      {"cfg_channels", "channels that are guided; 0: all", cfg_channels},
      {"frechet_model", "classifier by whose features made pictures are compared with real ones; empty: none",
       frechet_model, Scope::kMeasurement},
      {"frechet_count", "pictures that are made for that at each measurement", frechet_count,
       Scope::kMeasurement},
  };
  out.insert(out.end(), rest.begin(), rest.end());
  for (Setting& s : average_settings(average)) out.push_back(std::move(s));
  return out;
}

void DiffuseConfig::check() const {
  DitConfig complete = model;
  if (complete.num_classes == 0) complete.num_classes = 1;  // come with the data
  complete.check();
  pictures.check();
  average.check();
  try {
    NoiseSchedule::linear(diffusion_steps).respaced(sample_steps);
  } catch (const std::invalid_argument& e) {
    throw std::invalid_argument(std::string("diffusion_steps, sample_steps: ") + e.what());
  }
  require(label_dropout >= 0 && label_dropout <= 1, "label_dropout", "a probability from 0 to 1",
          label_dropout);
  require(sample_count >= 0 && sample_count <= kMaxSamples, "sample_count", "0 to 256", sample_count);
  require(cfg_scale >= 0 && cfg_scale <= 1e6, "cfg_scale", "0 to 1e6", cfg_scale);
  require(cfg_channels >= 0 && cfg_channels <= model.channels, "cfg_channels",
          "0 to the channels of a picture", cfg_channels);
  require(frechet_count >= 2 && frechet_count <= 1'000'000, "frechet_count", "2 to 1000000", frechet_count);
  require(latent_scale > 0 && latent_scale <= 1e6, "latent_scale", "more than 0, at most 1e6", latent_scale);
  if (has_latents()) {
    require(sample_count == 0, "sample_count", "0, as latents cannot be shown", sample_count);
    require(frechet_model.empty(), "frechet_model", "none, as latents cannot be shown", frechet_model);
  }
  // Only a model that also learned without labels can be guided.
  const bool samples = sample_count > 0 || !frechet_model.empty();
  require(!samples || cfg_scale == 1 || label_dropout > 0, "cfg_scale", "1, since label_dropout is 0",
          cfg_scale);
}

AugmentOptions DiffuseConfig::training_augment() const {
  AugmentOptions out = AugmentOptions::dit(static_cast<int>(model.input_size));
  out.flip = pictures.flip;
  return out;
}

AugmentOptions DiffuseConfig::evaluation_augment() const {
  AugmentOptions out = AugmentOptions::dit(static_cast<int>(model.input_size));
  out.flip = 0;
  return out;
}

}  // namespace seednorm::lab
