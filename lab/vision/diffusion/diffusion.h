// Diffusion as DiT trains and samples it (arXiv 2212.09748): the model predicts the noise and, between two
// bounds, the variance of each step back.
#ifndef SEEDNORM_LAB_VISION_DIFFUSION_DIFFUSION_H_
#define SEEDNORM_LAB_VISION_DIFFUSION_DIFFUSION_H_

#include <ATen/core/Tensor.h>

#include <functional>

#include "lab/nn/device.h"
#include "lab/vision/diffusion/noise_schedule.h"

namespace seednorm::lab {

// Pictures or latents are [N, H, W, C], and a prediction is [N, H, W, 2 C]: noise, then v, which says where
// between its bounds the logarithm of the variance is (-1: posterior, 1: beta).

// What a model predicts of x [N, H, W, C] at the timesteps t [N] (int64, of its training).
using Denoiser = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& t)>;

// Of each sample, means over its numbers: [N].
struct DiffusionLoss {
  at::Tensor mse;  // of the noise: L_simple
  // The variational bound in bits, from which only the variances learn: the noise is detached in it
  // (arXiv 2102.09672, Eq. 16).
  at::Tensor bound;
};

class Diffusion {
 public:
  explicit Diffusion(NoiseSchedule schedule);

  const NoiseSchedule& schedule() const { return schedule_; }

  // x_t of x_0 and noise, both [N, H, W, C], at steps t [N] int64 of the schedule.
  at::Tensor noised(const at::Tensor& x0, const at::Tensor& t, const at::Tensor& noise) const;
  // The loss of a prediction for x_t = noised(x0, t, noise). x_0 is not clipped anywhere. At t = 0 the bound
  // is the likelihood of x_0's bin of width 2/255, also of latents, which have no bins.
  DiffusionLoss loss(const at::Tensor& prediction, const at::Tensor& x0, const at::Tensor& xt,
                     const at::Tensor& t, const at::Tensor& noise) const;
  // A step back from x at step k of the schedule, with noise of x's shape. The last step, k = 0, takes none.
  at::Tensor step_back(const at::Tensor& prediction, const at::Tensor& x, int64_t k,
                       const at::Tensor& noise) const;
  // All steps back from pure noise x. noise_of(k) is the noise for step k > 0. Errors (Interrupted): the user
  // stopped the program.
  at::Tensor sample(const Denoiser& denoiser, at::Tensor x,
                    const std::function<at::Tensor(int64_t k)>& noise_of) const;

 private:
  struct Gaussian {
    at::Tensor mean, log_variance;
  };
  // Of x_{t-1}, from predicted noise and v.
  Gaussian predicted(const at::Tensor& noise, const at::Tensor& v, const at::Tensor& xt,
                     const at::Tensor& t) const;

  // Entries t of a row of the table, to go with x [N, H, W, C].
  at::Tensor entries(int64_t row, const at::Tensor& t, const at::Tensor& x) const;

  NoiseSchedule schedule_;
  Table table_;  // [6, steps] float64: the schedule, as a tensor
};

// Classifier-free guidance (arXiv 2207.12598): u + scale (c - u) of the noise that is predicted with a label,
// c, and without one, u. `both` is asked for both at once: x and t twice, one behind the other, the first
// half with labels. Only the first `channels` are guided, as in DiT's own code, where 3 of 4 are (0: all of
// them); the rest and the variances are those with labels.
Denoiser guided(const Denoiser& both, double scale, int64_t channels);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DIFFUSION_DIFFUSION_H_
