// The settings of the workload "classify": a classifier, sets of pictures, and how they are augmented.
// Without libtorch.
#ifndef SEEDNORM_LAB_VISION_CLASSIFY_CONFIG_H_
#define SEEDNORM_LAB_VISION_CLASSIFY_CONFIG_H_

#include <memory>
#include <string>

#include "lab/train/config.h"
#include "lab/train/workload_config.h"
#include "lab/vision/data/augment.h"
#include "lab/vision/data/mix.h"
#include "lab/vision/models/config.h"
#include "lab/vision/pictures/picture_config.h"

namespace seednorm::lab {

struct ClassifyConfig : WorkloadConfig {
  ImageModelConfig model;
  PictureConfig pictures;

  bool padded_crop = false;  // in place of resized crops: for small pictures
  int64_t crop_padding = 4;  // pixels of the border
  double min_area = 0.08;    // of resized crops
  std::string rand_augment;  // "rand-m9-mstd0.5-inc1"; empty: none
  double erase = 0;          // probability of random erasing
  double mixup = 0, cutmix = 0;
  double label_smoothing = 0;
  double crop_part = 0.875;  // of the short side, when it is measured
  std::string normalization = "imagenet";

  std::string init_from;   // model directory of a masked autoencoder, whose encoder the ViT begins with
  double layer_decay = 1;  // factor on the learning rate from layer to layer, downwards
  AverageConfig average;

  std::unique_ptr<WorkloadConfig> clone() const override { return std::make_unique<ClassifyConfig>(*this); }
  std::string unit() const override { return "image"; }
  Settings settings() override;
  void check() const override;
  double estimated_params() const override { return model.estimated_params(); }

  // What they mean for pictures. Errors (UserError): see Augment.
  AugmentOptions training_augment() const;
  AugmentOptions evaluation_augment() const;
  MixOptions mix() const { return {.mixup = mixup, .cutmix = cutmix}; }
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_CLASSIFY_CONFIG_H_
