#include "lab/vision/data/augment.h"

#include <cmath>

#include "lab/vision/data/color_ops.h"

namespace seednorm::lab {
namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw UserError("augmentation: " + what);
}

bool is_probability(double p) { return p >= 0 && p <= 1; }

}  // namespace

AugmentOptions AugmentOptions::supervised(int size) {
  AugmentOptions options;
  options.size = size;
  options.rand_augment = RandAugmentOptions::parse("rand-m9-mstd0.5-inc1");
  options.erase.probability = 0.25;
  return options;
}

AugmentOptions AugmentOptions::mae(int size) {
  AugmentOptions options;
  options.size = size;
  options.area = {0.2, 1};
  return options;
}

AugmentOptions AugmentOptions::dit(int size) {
  AugmentOptions options;
  options.size = size;
  options.crop = Crop::kCenterAdm;
  options.normalization = kSymmetricNormalization;
  return options;
}

AugmentOptions AugmentOptions::evaluation(int size, double crop_part) {
  AugmentOptions options;
  options.size = size;
  options.crop = Crop::kCenter;
  options.short_side = static_cast<int>(std::floor(size / crop_part));
  options.flip = 0;
  return options;
}

Augment::Augment(const AugmentOptions& options) : options_(options), normalizer_(options.normalization) {
  require(options.size >= 1 && options.size <= 1 << 14, "expected a size from 1 to 16384");
  const Range area = options.area, ratio = options.ratio;
  require(area.low > 0 && area.low <= area.high && area.high <= 1,
          "expected 0 < lowest area <= highest area <= 1");
  require(ratio.low > 0 && ratio.low <= ratio.high && ratio.high <= 1000,
          "expected 0 < lowest ratio <= highest ratio");
  require(options.padding >= 0 && options.padding <= 1 << 14, "expected a padding from 0 to 16384");
  require(
      options.crop != Crop::kCenter || (options.short_side >= options.size && options.short_side <= 1 << 15),
      "expected a short side from the size to 32768");
  require(is_probability(options.flip), "expected a probability to flip from 0 to 1");
  require(is_probability(options.erase.probability), "expected a probability to erase from 0 to 1");
  for (const float std : options.normalization.std) require(std > 0, "expected standard deviations above 0");
}

Image Augment::pixels(const ImageSet& set, int64_t index, const Key& key) const {
  Draws draws(key.seed, DrawsFor::kAugment, key.step, key.row);
  const int size = options_.size;
  Image image;
  switch (options_.crop) {
    case Crop::kRandomResized: {
      const auto part = [&](int width, int height) {
        return random_crop(width, height, options_.area, options_.ratio, draws);
      };
      image = resize(set.decode(index, part), size, size, options_.filter);
      break;
    }
    case Crop::kPadded: {
      const Image whole = set.decode(index);
      if (std::min(whole.width(), whole.height()) + 2 * options_.padding < size) {
        throw DamagedImage(set.name(index) + ": is " + std::to_string(whole.width()) + " x " +
                           std::to_string(whole.height()) + " pixels, too small for a crop of " +
                           std::to_string(size) + " with a padding of " + std::to_string(options_.padding));
      }
      image = padded_crop(whole, size, options_.padding, draws);
      break;
    }
    case Crop::kCenter:
      image = center_crop(set.decode(index), options_.short_side, size, options_.filter);
      break;
    case Crop::kCenterAdm:
      image = center_crop_adm(set.decode(index), size);
      break;
  }
  if (options_.flip > 0 && draws.uniform() < options_.flip) flip_horizontally(image);
  rand_augment(image, options_.rand_augment, draws);
  return image;
}

void Augment::numbers(const ImageSet& set, int64_t index, const Key& key, std::span<float> out) const {
  normalizer_.apply(pixels(set, index, key), out);
  Draws draws(key.seed, DrawsFor::kErase, key.step, key.row);
  random_erase(out, options_.size, options_.size, options_.erase, draws);
}

}  // namespace seednorm::lab
