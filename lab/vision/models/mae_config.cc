#include "lab/vision/models/mae_config.h"

#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {

using namespace checks;

MaeConfig::MaeConfig()
    : norms({{"encoder", "norms of the encoder, as in seed_norm(num_heads=16)"},
             {"decoder", "norms of the decoder"}}) {
  norms.set_all(NormSpec::parse("layer_norm"));
}

int64_t MaeConfig::num_kept() const {
  // 10 patches of which 0.9 are masked leave 1, although 10 (1 - 0.9) is a little less in double.
  constexpr double kRounding = 1e-9;
  return static_cast<int64_t>(static_cast<double>(num_patches()) * (1 - mask_ratio) + kRounding);
}

double MaeConfig::estimated_params() const {
  const auto of_blocks = [](int64_t layers, int64_t dim, int64_t hidden) {
    const auto width = static_cast<double>(dim);
    return static_cast<double>(layers) * width * (4 * width + 2 * static_cast<double>(hidden));
  };
  const auto patch = static_cast<double>(3 * patch_size * patch_size), width = static_cast<double>(dim),
             decoder_width = static_cast<double>(decoder_dim);
  return of_blocks(num_layers, dim, ffn_dim) + of_blocks(decoder_layers, decoder_dim, decoder_ffn_dim) +
         patch * (width + decoder_width) + width * decoder_width;
}

void MaeConfig::check() const {
  require({{"image_size", image_size, 1, kMaxSide},
           {"patch_size", patch_size, 1, kMaxSide},
           {"dim", dim, 4, kMaxDim},
           {"num_layers", num_layers, 1, kMaxLayers},
           {"num_heads", num_heads, 1, kMaxDim},
           {"ffn_dim", ffn_dim, 1, kMaxDim},
           {"decoder_dim", decoder_dim, 4, kMaxDim},
           {"decoder_layers", decoder_layers, 1, kMaxLayers},
           {"decoder_heads", decoder_heads, 1, kMaxDim},
           {"decoder_ffn_dim", decoder_ffn_dim, 1, kMaxDim}});
  require(image_size % patch_size == 0, "patch_size",
          "a divisor of image_size = " + std::to_string(image_size), patch_size);
  require(dim % 4 == 0, "dim", "a multiple of 4, for fixed positions", dim);
  require(decoder_dim % 4 == 0, "decoder_dim", "a multiple of 4, for fixed positions", decoder_dim);
  require_heads("num_heads", num_heads, dim);
  require_heads("decoder_heads", decoder_heads, decoder_dim);
  require(mask_ratio > 0 && mask_ratio < 1, "mask_ratio", "a number between 0 and 1", mask_ratio);
  require(num_kept() >= 1 && num_kept() < num_patches(), "mask_ratio",
          "a part that leaves and masks at least one of " + std::to_string(num_patches()) + " patches",
          mask_ratio);
  require(norm_eps > 0 && norm_eps <= 1, "norm_eps", "more than 0, at most 1", norm_eps);
  require(estimated_params() <= kMaxParams, "dim, num_layers, ffn_dim", "a model of at most 1e13 parameters",
          estimated_params());
  require_norm(norms, "encoder", "blocks.0.norm1", dim);
  require_norm(norms, "decoder", "decoder_blocks.0.norm1", decoder_dim);
}

}  // namespace seednorm::lab
