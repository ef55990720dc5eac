// The settings of the workload "diffuse": a DiT, the pictures that it learns to make, and how it is sampled.
// Without libtorch.
#ifndef SEEDNORM_LAB_VISION_DIFFUSE_CONFIG_H_
#define SEEDNORM_LAB_VISION_DIFFUSE_CONFIG_H_

#include <memory>
#include <string>

#include "lab/train/config.h"
#include "lab/train/workload_config.h"
#include "lab/vision/data/augment.h"
#include "lab/vision/models/dit_config.h"
#include "lab/vision/pictures/picture_config.h"

namespace seednorm::lab {

struct DiffuseConfig : WorkloadConfig {
  DiffuseConfig();

  DitConfig model;  // 3 channels: of pictures; others: of latents
  PictureConfig pictures;

  double latent_scale = 0.18215;  // factor of latents; that of the autoencoder of Stable Diffusion 1

  int64_t diffusion_steps = 1000;
  double label_dropout = 0.1;  // probability that a picture is shown without its label
  AverageConfig average;

  int64_t sample_count = 0;  // pictures that are made for the report; 0: none
  int64_t sample_steps = 250;
  double cfg_scale = 1.5;
  int64_t cfg_channels = 3;  // 0: all

  std::string frechet_model;  // a classifier whose features compare made pictures with real ones; empty: none
  int64_t frechet_count = 256;  // pictures that are made for it at each measurement

  bool has_latents() const { return model.channels != 3; }

  std::unique_ptr<WorkloadConfig> clone() const override { return std::make_unique<DiffuseConfig>(*this); }
  std::string unit() const override { return "image"; }
  Settings settings() override;
  void check() const override;
  double estimated_params() const override { return model.estimated_params(); }

  // What they mean for pictures.
  AugmentOptions training_augment() const;
  AugmentOptions evaluation_augment() const;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DIFFUSE_CONFIG_H_
