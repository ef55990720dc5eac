#include "lab/vision/models/dit_config.h"

#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {

using namespace checks;

DitConfig::DitConfig()
    : norms({{"block", "norm before attention and before the MLP, as in ada_seed_norm"},
             {"final", "norm before the last layer"}}) {
  norms.set_all(NormSpec::parse("layer_norm"));
}

double DitConfig::estimated_params() const {
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  const double width = number(dim), patch = number(patch_size * patch_size * channels);
  const double modulation = 6 * width;
  return number(num_layers) * width * (4 * width + 2 * number(ffn_dim) + modulation) +
         width * (number(num_classes) + 3 * patch + 256 + 3 * width);
}

void DitConfig::check() const {
  require({{"input_size", input_size, 1, kMaxSide},
           {"channels", channels, 1, kMaxChannels},
           {"patch_size", patch_size, 1, kMaxSide},
           {"num_classes", num_classes, 0, kMaxClasses},
           {"dim", dim, 4, kMaxDim},
           {"num_layers", num_layers, 1, kMaxLayers},
           {"num_heads", num_heads, 1, kMaxDim},
           {"ffn_dim", ffn_dim, 1, kMaxDim},
           {"time_divisor", time_divisor, 127, 128}});
  require(input_size % patch_size == 0, "patch_size",
          "a divisor of input_size = " + std::to_string(input_size), patch_size);
  require(dim % 4 == 0, "dim", "a multiple of 4, for fixed positions", dim);
  require_heads("num_heads", num_heads, dim);
  require(norm_eps > 0 && norm_eps <= 1, "norm_eps", "more than 0, at most 1", norm_eps);
  require(mlp_norm_eps >= 0 && mlp_norm_eps <= 1, "mlp_norm_eps", "0 to 1", mlp_norm_eps);
  require(estimated_params() <= kMaxParams, "dim, num_layers, ffn_dim", "a model of at most 1e13 parameters",
          estimated_params());
  require_norm(norms, "block", "blocks.0.norm1", dim, /*has_condition=*/true);
  require_norm(norms, "final", "final_layer.norm_final", dim, /*has_condition=*/true);
}

}  // namespace seednorm::lab
