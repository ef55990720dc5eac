#include "lab/vision/pictures/picture_config.h"

#include <stdexcept>

namespace seednorm::lab {

void PictureConfig::check() const {
  constexpr int64_t kMaxWorkers = 1024;
  if (workers < 1 || workers > kMaxWorkers) throw std::invalid_argument("workers: expected 1 to 1024");
  if (!(flip >= 0 && flip <= 1)) throw std::invalid_argument("flip: expected a probability from 0 to 1");
}

Settings picture_settings(PictureConfig& c) {
  return {
      {"train_data", "pictures to train on: folders by class, tar archives, CIFAR or IDX", c.train_data},
      {"valid_data", "pictures to measure on; empty: the test part of train_data", c.valid_data,
       Scope::kMeasurement},
      {"workers", "threads that make pictures", c.workers, Scope::kMachine},
      {"skip_damaged", "name pictures that cannot be read and go on without them", c.skip_damaged},
      {"flip", "probability of a mirrored picture", c.flip},
  };
}

}  // namespace seednorm::lab
