#include "lab/vision/diffusion/noise_schedule.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace seednorm::lab {

NoiseSchedule::NoiseSchedule(std::vector<double> given) : betas(std::move(given)) {
  if (size() < 2) throw std::invalid_argument("steps of diffusion: expected 2 or more");
  double alpha_bar = 1;
  for (int64_t t = 0; t < size(); ++t) {
    const double beta = betas[t], previous = alpha_bar;
    if (!(beta > 0 && beta < 1)) {
      throw std::invalid_argument("beta of step " + std::to_string(t) +
                                  ": expected a number between 0 and 1");
    }
    alpha_bar *= 1 - beta;
    timesteps.push_back(t);
    alpha_bars.push_back(alpha_bar);
    signal.push_back(std::sqrt(alpha_bar));
    noise.push_back(std::sqrt(1 - alpha_bar));
    from_x0.push_back(beta * std::sqrt(previous) / (1 - alpha_bar));
    from_xt.push_back((1 - previous) * std::sqrt(1 - beta) / (1 - alpha_bar));
    log_beta.push_back(std::log(beta));
    log_posterior.push_back(std::log(beta * (1 - previous) / (1 - alpha_bar)));
  }
  log_posterior[0] = log_posterior[1];
}

NoiseSchedule NoiseSchedule::linear(int64_t steps) {
  constexpr int64_t kMinSteps = 21, kMaxSteps = 1'000'000;
  if (steps < kMinSteps || steps > kMaxSteps) {
    throw std::invalid_argument("steps of diffusion: expected 21 to 1000000, got " + std::to_string(steps));
  }
  const double scale = 1000.0 / static_cast<double>(steps), first = scale * 1e-4, last = scale * 0.02;
  std::vector<double> betas(steps);
  for (int64_t t = 0; t < steps; ++t) {
    betas[t] = first + (last - first) * static_cast<double>(t) / static_cast<double>(steps - 1);
  }
  return NoiseSchedule(std::move(betas));
}

NoiseSchedule NoiseSchedule::respaced(int64_t count) const {
  if (count < 2 || count > size()) {
    throw std::invalid_argument("steps of sampling: expected 2 to " + std::to_string(size()) + ", got " +
                                std::to_string(count));
  }
  // Summed up and rounded to even, as the original does: other sums could take another step of two that are
  // equally near.
  const double stride = static_cast<double>(size() - 1) / static_cast<double>(count - 1);
  std::vector<int64_t> kept;
  double at = 0;
  for (int64_t i = 0; i < count; ++i) {
    kept.push_back(std::min(static_cast<int64_t>(std::nearbyint(at)), size() - 1));
    at += stride;
  }
  std::vector<double> shorter;
  double previous = 1;
  for (const int64_t t : kept) {
    shorter.push_back(1 - alpha_bars[t] / previous);
    previous = alpha_bars[t];
  }
  NoiseSchedule out(std::move(shorter));
  for (size_t i = 0; i < kept.size(); ++i) out.timesteps[i] = timesteps[kept[i]];
  return out;
}

}  // namespace seednorm::lab
