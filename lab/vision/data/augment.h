// What a recipe does with each picture, from the file to the numbers that a model sees.
#ifndef SEEDNORM_LAB_VISION_DATA_AUGMENT_H_
#define SEEDNORM_LAB_VISION_DATA_AUGMENT_H_

#include <span>

#include "lab/vision/data/draws.h"
#include "lab/vision/data/image_set.h"
#include "lab/vision/data/rand_augment.h"
#include "lab/vision/data/transforms.h"

namespace seednorm::lab {

enum class Crop {
  kRandomResized,  // random_crop, scaled
  kPadded,         // padded_crop
  kCenter,         // center_crop
  kCenterAdm,      // center_crop_adm
};

struct AugmentOptions {
  int size = 224;  // the side of the result
  Crop crop = Crop::kRandomResized;
  Range area = {0.08, 1}, ratio = {3.0 / 4, 4.0 / 3};  // of kRandomResized
  int padding = 4;                                     // of kPadded
  int short_side = 256;                                // of kCenter
  Filter filter = Filter::kBicubic;
  double flip = 0.5;  // the probability
  RandAugmentOptions rand_augment;
  EraseOptions erase;
  Normalization normalization = kImageNetNormalization;

  // The supervised recipe of ViT and ConvNeXt and of fine-tuning; MAE's; DiT's of pixels; evaluation, whose
  // short side is size / crop_part, rounded down.
  static AugmentOptions supervised(int size);
  static AugmentOptions mae(int size);
  static AugmentOptions dit(int size);
  static AugmentOptions evaluation(int size, double crop_part = 0.875);
};

// In order: crop, flip, RandAugment, normalization, erasing.
class Augment {
 public:
  // Throws UserError for settings out of range.
  explicit Augment(const AugmentOptions& options);

  const AugmentOptions& options() const { return options_; }
  // size x size pixels; normalized, out holds [size, size, 3]. What is drawn depends on the key alone. Throws
  // DamagedImage.
  struct Key {
    uint64_t seed, step, row;
  };
  Image pixels(const ImageSet& set, int64_t index, const Key& key) const;
  void numbers(const ImageSet& set, int64_t index, const Key& key, std::span<float> out) const;

 private:
  AugmentOptions options_;
  Normalizer normalizer_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_AUGMENT_H_
