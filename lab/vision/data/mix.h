// Mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899) of a batch, in timm's form.
#ifndef SEEDNORM_LAB_VISION_DATA_MIX_H_
#define SEEDNORM_LAB_VISION_DATA_MIX_H_

#include <span>

#include "lab/vision/data/draws.h"
#include "lab/vision/data/image.h"

namespace seednorm::lab {

struct MixOptions {
  double mixup = 0.8, cutmix = 1.0;  // alpha of their beta distributions; 0: not used
  double probability = 1;            // that a batch is mixed
  double switch_probability = 0.5;   // that it is cut where both are used

  bool is_on() const { return probability > 0 && (mixup > 0 || cutmix > 0); }
};

// How the batch of a step is mixed: each picture with its partner.
struct Mix {
  double lambda = 1;  // a picture's own share; 1: nothing is mixed
  bool is_cut = false;
  Rect box;  // if it is cut: what comes from the partner
};

// The order of draws is timm's. lambda of a cut is that of the box, which may be cut off at the border.
Mix draw_mix(const MixOptions& options, int width, int height, Draws& draws);

// timm pairs the first picture of a batch with the last. Here neighbours are pairs, rows 2 i and 2 i + 1,
// which is the same at random and does not depend on how a batch is divided among ranks and micro-batches.

// Mixes two pictures [height, width, 3] with one another.
void mix_pair(const Mix& mix, int width, std::span<float> a, std::span<float> b);

// The classes' shares of a picture with `label` whose partner has `other`: each label is smoothed, off =
// smoothing / classes and on = 1 - smoothing + off, and then lambda of the one and 1 - lambda of the other
// taken.
void mix_targets(double lambda, double smoothing, int label, int other, std::span<float> out);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_MIX_H_
