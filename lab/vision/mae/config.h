// The settings of the workload "mae": a masked autoencoder, and the pictures that it learns from. Without
// libtorch.
#ifndef SEEDNORM_LAB_VISION_MAE_CONFIG_H_
#define SEEDNORM_LAB_VISION_MAE_CONFIG_H_

#include <memory>
#include <string>

#include "lab/train/workload_config.h"
#include "lab/vision/data/augment.h"
#include "lab/vision/models/mae_config.h"
#include "lab/vision/pictures/picture_config.h"

namespace seednorm::lab {

struct MaeWorkloadConfig : WorkloadConfig {
  MaeConfig model;
  PictureConfig pictures;

  bool padded_crop = false;  // in place of resized crops: for small pictures
  double min_area = 0.2;     // of resized crops
  std::string normalization = "imagenet";
  int64_t sample_count = 8;  // pictures that are reconstructed for the report; 0: none

  std::unique_ptr<WorkloadConfig> clone() const override {
    return std::make_unique<MaeWorkloadConfig>(*this);
  }
  std::string unit() const override { return "image"; }
  Settings settings() override;
  void check() const override;
  double estimated_params() const override { return model.estimated_params(); }

  // What they mean for pictures.
  AugmentOptions training_augment() const;
  AugmentOptions evaluation_augment() const;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MAE_CONFIG_H_
