#include "lab/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace seednorm::lab {

double learning_rate(const TrainConfig& config, int64_t step, int64_t units_per_step) {
  // The rate of a step is the one at its end, so that the first step already learns.
  const double tokens = static_cast<double>((step + 1) * units_per_step);
  if (tokens < config.warmup) return config.lr * tokens / config.warmup;
  const double total = static_cast<double>(config.steps * units_per_step);
  const double rest = std::max(total - config.warmup, 1.0);
  const double done = std::min((tokens - config.warmup) / rest, 1.0);
  const double low = config.min_lr_ratio * config.lr;
  return low + (config.lr - low) * (1 + std::cos(std::numbers::pi * done)) / 2;
}

}  // namespace seednorm::lab
