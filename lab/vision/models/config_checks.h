// What the settings of models check, in the words of their messages.
#ifndef SEEDNORM_LAB_VISION_MODELS_CONFIG_CHECKS_H_
#define SEEDNORM_LAB_VISION_MODELS_CONFIG_CHECKS_H_

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "lab/nn/norm_sites.h"

namespace seednorm::lab::checks {

// Beyond what anybody has trained, and small enough for products of two to be counted in 64 bits.
inline constexpr int64_t kMaxSide = 8192, kMaxClasses = int64_t{1} << 24, kMaxDim = int64_t{1} << 20,
                         kMaxLayers = 4096, kMaxChannels = 4096;
inline constexpr double kMaxParams = 1e13;

// NaN fails every check.
template <class T>
void require(bool holds, const std::string& setting, const std::string& expected, T got) {
  std::ostringstream text;
  text << setting << ": expected " << expected << ", got " << got;
  if (!holds) throw std::invalid_argument(text.str());
}

struct Size {
  const char* setting;
  int64_t value, least, most;
};
inline void require(const std::vector<Size>& sizes) {
  for (const Size& s : sizes) {
    require(s.value >= s.least && s.value <= s.most, s.setting,
            std::to_string(s.least) + " to " + std::to_string(s.most), s.value);
  }
}

// Heads that divide the width.
inline void require_heads(const char* setting, int64_t heads, int64_t width) {
  require(width % heads == 0, setting, "a divisor of the width " + std::to_string(width), heads);
}

// That the norm of a site fits the width of one of its layers, and needs a condition only of a model that has
// one.
inline void require_norm(const NormSites& norms, const std::string& site, const std::string& layer_name,
                         int64_t width, bool has_condition = false) {
  const NormSpec& spec = norms[site];
  try {
    const seednorm::Norm layer = spec.layer(width);
    if (layer.info().needs_condition() && !has_condition) {
      throw std::invalid_argument("[" + spec.name +
                                  "] norm: needs a condition for each sample, which this model lacks");
    }
    if (spec.options.dropout > 0) {
      throw std::invalid_argument("dropout: expected 0; this model is trained without it");
    }
  } catch (const std::invalid_argument& e) {
    throw std::invalid_argument("norm." + site + ": " + layer_name + ", of width " + std::to_string(width) +
                                ": " + e.what());
  }
}

}  // namespace seednorm::lab::checks

#endif  // SEEDNORM_LAB_VISION_MODELS_CONFIG_CHECKS_H_
