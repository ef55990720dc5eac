// What a DiT looks like. Without libtorch.
#ifndef SEEDNORM_LAB_VISION_MODELS_DIT_CONFIG_H_
#define SEEDNORM_LAB_VISION_MODELS_DIT_CONFIG_H_

#include <cstdint>

#include "lab/nn/norm_sites.h"

namespace seednorm::lab {

// At first DiT-B/4 for latents of pictures of 256 pixels.
struct DitConfig {
  DitConfig();

  int64_t input_size = 32;  // height and width of a latent, or of a picture
  int64_t channels = 4;     // of a latent; 3 of a picture
  int64_t patch_size = 4;
  int64_t num_classes = 1000;  // one more row of the label table stands for no label
  int64_t dim = 768, num_layers = 12, num_heads = 12, ffn_dim = 3072;
  // The linear layers that modulate, and the last one, begin with 0: a new model predicts 0.
  bool zero_init = true;
  // The k-th frequency of a timestep is 10000^(-k / time_divisor): 128 as in DiT's own code, 127 as in
  // diffusers.
  int64_t time_divisor = 128;
  double norm_eps = 1e-6;
  double mlp_norm_eps = 0;  // of the norm before the MLP, where diffusers has another one; 0: norm_eps
  NormSites norms;  // block and final; LayerNorm at first. Gain and offset are computed for each sample

  // About how many parameters the model has, without building it.
  double estimated_params() const;
  // Errors (std::invalid_argument): sizes that nothing can be built from; the message begins with the
  // setting's name.
  void check() const;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MODELS_DIT_CONFIG_H_
