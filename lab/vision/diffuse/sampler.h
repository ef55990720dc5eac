// Pictures that a DiT makes.
#ifndef SEEDNORM_LAB_VISION_DIFFUSE_SAMPLER_H_
#define SEEDNORM_LAB_VISION_DIFFUSE_SAMPLER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "lab/vision/models/dit.h"

namespace seednorm::lab {

struct SampleOptions {
  int64_t diffusion_steps = 1000;  // that the model was trained with
  int64_t steps = 250;             // that are taken of them
  double cfg_scale = 1.5;          // 1: no guidance
  int64_t cfg_channels = 3;        // that are guided; 0: all
  uint64_t seed = 0;
  int64_t rows = 32;  // pictures at once: only memory and speed depend on it
};

// One picture for each label (num_classes: none) -> [N, input_size, input_size, channels] float32, with all
// noise from (seed, step, place in the list) alone: models differ in what they make of the same noise.
// on_done is told how many are done. Errors (std::invalid_argument): steps that cannot be, a label that the
// model does not have. (Interrupted): the user stopped the program.
at::Tensor sample_pictures(Dit& model, const std::vector<int64_t>& labels, const SampleOptions& options,
                           const std::function<void(int64_t done)>& on_done = {});

// Labels drawn evenly, the same for the same seed.
std::vector<int64_t> random_labels(int64_t count, int64_t num_classes, uint64_t seed);

// Pixels of -1 .. 1 as bytes, as DiT's evaluation has them: 127.5 x + 128, cut off, from 0 to 255.
at::Tensor sampled_bytes(const at::Tensor& pixels);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DIFFUSE_SAMPLER_H_
