// The settings that say which pictures a model is trained and measured on. Without libtorch.
#ifndef SEEDNORM_LAB_VISION_PICTURES_PICTURE_CONFIG_H_
#define SEEDNORM_LAB_VISION_PICTURES_PICTURE_CONFIG_H_

#include <cstdint>
#include <string>

#include "lab/train/setting.h"

namespace seednorm::lab {

struct PictureConfig {
  std::string train_data, valid_data;  // sets of pictures; no valid_data: the test part of train_data
  int64_t workers = 1;                 // threads that make pictures
  bool skip_damaged = false;           // name pictures that cannot be read, and go on without them
  double flip = 0.5;                   // probability

  // Errors (std::invalid_argument): the message begins with the setting's name.
  void check() const;
};

// Every setting of `config`, bound to it.
Settings picture_settings(PictureConfig& config);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_PICTURES_PICTURE_CONFIG_H_
