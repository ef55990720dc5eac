#include "lab/vision/diffusion/diffusion.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lab/base/interrupt.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// Rows of the table.
enum : int64_t { kSignal, kNoise, kLogPosterior, kLogBeta, kFromX0, kFromXt };

Tensor table_of(const NoiseSchedule& s) {
  std::vector<Tensor> rows;
  for (const std::vector<double>* row :
       {&s.signal, &s.noise, &s.log_posterior, &s.log_beta, &s.from_x0, &s.from_xt}) {
    rows.push_back(at::tensor(*row, at::kDouble));
  }
  return at::stack(rows);
}

Tensor mean_of_each(const Tensor& x) { return x.flatten(1).mean(1); }

// The approximation of the normal distribution function that the original uses.
Tensor normal_cdf(const Tensor& x) {
  const double factor = std::sqrt(2 / std::numbers::pi);
  return 0.5 * (1 + (factor * (x + 0.044715 * x.pow(3))).tanh());
}

// The KL divergence of N(mean2, exp(log_variance2)) from N(mean1, exp(log_variance1)), in nats.
Tensor divergence(const Tensor& mean1, const Tensor& log_variance1, const Tensor& mean2,
                  const Tensor& log_variance2) {
  return 0.5 * (log_variance2 - log_variance1 - 1 + (log_variance1 - log_variance2).exp() +
                (mean1 - mean2).pow(2) * (-log_variance2).exp());
}

// Minus the logarithm of the probability that a normal distribution gives the bin of 1/255 around each x; the
// first and the last of the 256 bins are open.
Tensor bin_cost(const Tensor& x, const Tensor& mean, const Tensor& log_variance) {
  constexpr double kSmallest = 1e-12;
  const Tensor centered = x - mean, precision = (-0.5 * log_variance).exp();
  const Tensor below = normal_cdf(precision * (centered - 1.0 / 255)),
               up_to = normal_cdf(precision * (centered + 1.0 / 255));
  const Tensor probability = at::where(x < -0.999, up_to, at::where(x > 0.999, 1 - below, up_to - below));
  return -probability.clamp_min(kSmallest).log();
}

}  // namespace

Diffusion::Diffusion(NoiseSchedule schedule) : schedule_(std::move(schedule)), table_(table_of(schedule_)) {}

Tensor Diffusion::entries(int64_t row, const Tensor& t, const Tensor& x) const {
  return table_.on(t.device())[row].index_select(0, t).to(x.scalar_type()).view({-1, 1, 1, 1});
}

Tensor Diffusion::noised(const Tensor& x0, const Tensor& t, const Tensor& noise) const {
  return entries(kSignal, t, x0) * x0 + entries(kNoise, t, x0) * noise;
}

Diffusion::Gaussian Diffusion::predicted(const Tensor& noise, const Tensor& v, const Tensor& xt,
                                         const Tensor& t) const {
  const Tensor x0 = (xt - entries(kNoise, t, xt) * noise) / entries(kSignal, t, xt);
  const Tensor low = entries(kLogPosterior, t, xt), high = entries(kLogBeta, t, xt);
  return {entries(kFromX0, t, xt) * x0 + entries(kFromXt, t, xt) * xt, low + (v + 1) / 2 * (high - low)};
}

DiffusionLoss Diffusion::loss(const Tensor& prediction, const Tensor& x0, const Tensor& xt, const Tensor& t,
                              const Tensor& noise) const {
  const int64_t channels = x0.size(-1);
  const Tensor predicted_noise = prediction.narrow(-1, 0, channels),
               v = prediction.narrow(-1, channels, channels);
  const Gaussian model = predicted(predicted_noise.detach(), v, xt, t);
  const Tensor true_mean = entries(kFromX0, t, x0) * x0 + entries(kFromXt, t, x0) * xt;
  const Tensor kl = divergence(true_mean, entries(kLogPosterior, t, x0), model.mean, model.log_variance);
  const Tensor first = bin_cost(x0, model.mean, model.log_variance);
  const Tensor nats = at::where((t == 0).view({-1, 1, 1, 1}), first, kl);
  return {mean_of_each((noise - predicted_noise).pow(2)), mean_of_each(nats) / std::numbers::ln2};
}

Tensor Diffusion::step_back(const Tensor& prediction, const Tensor& x, int64_t k, const Tensor& noise) const {
  const int64_t channels = x.size(-1);
  const Tensor t = at::full({x.size(0)}, k, x.options().dtype(at::kLong));
  const Gaussian model =
      predicted(prediction.narrow(-1, 0, channels), prediction.narrow(-1, channels, channels), x, t);
  if (k == 0) return model.mean;
  return model.mean + (0.5 * model.log_variance).exp() * noise;
}

Tensor Diffusion::sample(const Denoiser& denoiser, Tensor x,
                         const std::function<Tensor(int64_t)>& noise_of) const {
  const at::NoGradGuard no_grad;
  for (int64_t k = schedule_.size() - 1; k >= 0; --k) {
    check_interrupt();
    const Tensor t = at::full({x.size(0)}, schedule_.timesteps[k], x.options().dtype(at::kLong));
    x = step_back(denoiser(x, t), x, k, k > 0 ? noise_of(k) : Tensor());
  }
  return x;
}

Denoiser guided(const Denoiser& both, double scale, int64_t channels) {
  return [both, scale, channels](const Tensor& x, const Tensor& t) {
    const Tensor out = both(at::cat({x, x}), at::cat({t, t}));
    const int64_t rows = x.size(0), guide = channels == 0 ? x.size(-1) : std::min(channels, x.size(-1));
    const Tensor with = out.narrow(0, 0, rows), without = out.narrow(0, rows, rows);
    const Tensor c = with.narrow(-1, 0, guide), u = without.narrow(-1, 0, guide);
    return at::cat({u + scale * (c - u), with.narrow(-1, guide, out.size(-1) - guide)}, -1);
  };
}

}  // namespace seednorm::lab
