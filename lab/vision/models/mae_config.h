// What a masked autoencoder looks like. Without libtorch.
#ifndef SEEDNORM_LAB_VISION_MODELS_MAE_CONFIG_H_
#define SEEDNORM_LAB_VISION_MODELS_MAE_CONFIG_H_

#include <cstdint>

#include "lab/nn/norm_sites.h"

namespace seednorm::lab {

// At first MAE-B/16.
struct MaeConfig {
  MaeConfig();

  int64_t image_size = 224;  // height and width of a picture
  int64_t patch_size = 16;
  int64_t dim = 768, num_layers = 12, num_heads = 12, ffn_dim = 3072;
  int64_t decoder_dim = 512, decoder_layers = 8, decoder_heads = 16, decoder_ffn_dim = 2048;
  double mask_ratio = 0.75;      // of the patches, which the encoder does not see
  bool normalize_pixels = true;  // the target is each patch with mean 0 and variance 1
  double norm_eps = 1e-6;
  NormSites norms;  // encoder and decoder; LayerNorm at first

  int64_t num_patches() const { return (image_size / patch_size) * (image_size / patch_size); }
  // Patches that the encoder sees: those left by mask_ratio, rounded down.
  int64_t num_kept() const;
  // About how many parameters the model has, without building it.
  double estimated_params() const;
  // Errors (std::invalid_argument): sizes that nothing can be built from; the message begins with the
  // setting's name.
  void check() const;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MODELS_MAE_CONFIG_H_
