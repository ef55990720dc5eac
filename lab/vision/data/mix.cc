#include "lab/vision/data/mix.h"

#include <algorithm>
#include <cmath>

namespace seednorm::lab {

Mix draw_mix(const MixOptions& options, int width, int height, Draws& draws) {
  Mix mix;
  if (!options.is_on() || draws.uniform() >= options.probability) return mix;
  mix.is_cut = options.cutmix > 0 && (options.mixup <= 0 || draws.uniform() < options.switch_probability);
  const double alpha = mix.is_cut ? options.cutmix : options.mixup;
  mix.lambda = draws.beta(alpha, alpha);
  if (!mix.is_cut) return mix;
  const double side = std::sqrt(1 - mix.lambda);
  const int box_height = static_cast<int>(height * side), box_width = static_cast<int>(width * side);
  const int y = draws.below(height), x = draws.below(width);
  const int top = std::max(0, y - box_height / 2), bottom = std::min(height, y + (box_height + 1) / 2);
  const int left = std::max(0, x - box_width / 2), right = std::min(width, x + (box_width + 1) / 2);
  mix.box = {left, top, right - left, bottom - top};
  mix.lambda = 1 - double(mix.box.width) * mix.box.height / (double(width) * height);
  return mix;
}

void mix_pair(const Mix& mix, int width, std::span<float> a, std::span<float> b) {
  if (mix.lambda == 1) return;
  if (mix.is_cut) {
    for (int y = mix.box.y; y < mix.box.y + mix.box.height; ++y) {
      const size_t begin = (size_t(y) * width + mix.box.x) * 3, size = size_t(mix.box.width) * 3;
      std::swap_ranges(a.begin() + begin, a.begin() + begin + size, b.begin() + begin);
    }
    return;
  }
  const auto own = static_cast<float>(mix.lambda), others = static_cast<float>(1 - mix.lambda);
  for (size_t i = 0; i < a.size(); ++i) {
    const float x = a[i], y = b[i];
    a[i] = x * own + y * others;
    b[i] = y * own + x * others;
  }
}

void mix_targets(double lambda, double smoothing, int label, int other, std::span<float> out) {
  const double off = smoothing / static_cast<double>(out.size());
  const auto low = static_cast<float>(off), high = static_cast<float>(1 - smoothing + off);
  const auto own = static_cast<float>(lambda), others = static_cast<float>(1 - lambda);
  const auto share = [&](bool is_label, bool is_other) {
    return (is_label ? high : low) * own + (is_other ? high : low) * others;
  };
  std::fill(out.begin(), out.end(), share(false, false));
  out[label] = share(true, label == other);
  if (other != label) out[other] = share(false, true);
}

}  // namespace seednorm::lab
