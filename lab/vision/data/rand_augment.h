// RandAugment (Cubuk et al., arXiv 1909.13719) in timm's form, "rand-m9-mstd0.5-inc1".
#ifndef SEEDNORM_LAB_VISION_DATA_RAND_AUGMENT_H_
#define SEEDNORM_LAB_VISION_DATA_RAND_AUGMENT_H_

#include <span>
#include <string>
#include <string_view>

#include "lab/vision/data/affine.h"
#include "lab/vision/data/draws.h"

namespace seednorm::lab {

struct RandAugmentOptions {
  int num_ops = 0;  // n: operations an image gets, drawn with replacement; 0: none
  double magnitude = 9, magnitude_std = 0.5, max_magnitude = 10;
  double probability = 0.5;      // of each drawn operation
  Color fill = {124, 116, 104};  // ImageNet's mean, as timm fills

  // Reads "rand-m9-mstd0.5-inc1", with n, p and mmax as well; "" is none. Throws UserError for what is not
  // known; inc1 must be there, since only the operations that grow with the magnitude are.
  static RandAugmentOptions parse(std::string_view text);
};

// The names of the 15 operations, in timm's order.
std::span<const char* const> rand_augment_ops();

// One operation at magnitude 0 to 10; of those with a direction the one that `negative` says.
void apply_op(Image& image, int op, double magnitude, bool negative, const Color& fill);

// Draws num_ops operations and applies them; the order of draws is that of timm's code.
void rand_augment(Image& image, const RandAugmentOptions& options, Draws& draws);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_RAND_AUGMENT_H_
