// How much noise each step of a diffusion adds, and what follows from that, in double. Without PyTorch.
#ifndef SEEDNORM_LAB_VISION_DIFFUSION_NOISE_SCHEDULE_H_
#define SEEDNORM_LAB_VISION_DIFFUSION_NOISE_SCHEDULE_H_

#include <cstdint>
#include <vector>

namespace seednorm::lab {

// The tables of DDPM (arXiv 2006.11239, Eqs. 4 to 7) and of its learned variances (arXiv 2102.09672), one
// entry a step:
//   q(x_t | x_0) = N(signal x_0, noise^2),   q(x_{t-1} | x_t, x_0) = N(from_x0 x_0 + from_xt x_t, posterior)
struct NoiseSchedule {
  // The variance that each step adds. Errors (std::invalid_argument): fewer than two steps, or a beta that is
  // not between 0 and 1.
  explicit NoiseSchedule(std::vector<double> betas);
  // From 1e-4 to 0.02 in even steps if there are 1,000; with other numbers scaled so that x_T is as noisy.
  // Errors (std::invalid_argument): fewer than 21, the last of which would add more than there is.
  static NoiseSchedule linear(int64_t steps = 1000);
  // Fewer steps for sampling: `count` of these, evenly spaced from the first to the last, with the betas that
  // join them. Errors (std::invalid_argument): fewer than two, or more than there are.
  NoiseSchedule respaced(int64_t count) const;

  int64_t size() const { return static_cast<int64_t>(betas.size()); }

  std::vector<int64_t> timesteps;  // what the model is told: the step of the schedule that it was trained on
  std::vector<double> betas;
  std::vector<double> alpha_bars;  // products of 1 - beta
  std::vector<double> signal, noise;
  std::vector<double> from_x0, from_xt;
  // Logarithms of the largest and the smallest variance that a model can give a step back: beta and
  // posterior. The posterior's first entry, 0, is replaced by its second.
  std::vector<double> log_beta, log_posterior;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DIFFUSION_NOISE_SCHEDULE_H_
