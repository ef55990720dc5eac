#include "lab/vision/diffuse/sampler.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "lab/nn/device.h"
#include "lab/vision/data/draws.h"
#include "lab/vision/data/normals.h"
#include "lab/vision/diffusion/diffusion.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// Labels are drawn at a step that no sampling has.
constexpr uint64_t kLabelStep = std::numeric_limits<uint32_t>::max();

Tensor noise_of(const SampleOptions& options, int64_t step, int64_t first, const Tensor& like) {
  Tensor out = at::empty_like(like);
  const int64_t each = out.numel() / out.size(0);
  for (int64_t row = 0; row < out.size(0); ++row) {
    Draws draws(options.seed, DrawsFor::kSample, static_cast<uint64_t>(step),
                static_cast<uint64_t>(first + row));
    fill_normal(draws, {out.data_ptr<float>() + row * each, static_cast<size_t>(each)});
  }
  return out;
}

}  // namespace

Tensor sample_pictures(Dit& model, const std::vector<int64_t>& labels, const SampleOptions& options,
                       const std::function<void(int64_t)>& on_done) {
  const at::NoGradGuard no_grad;
  const at::Device device = model_device(model);
  const DitConfig& c = model.config();
  const auto count = static_cast<int64_t>(labels.size());
  for (const int64_t label : labels) {
    if (label < 0 || label > c.num_classes) {
      throw std::invalid_argument("labels: expected 0 to " + std::to_string(c.num_classes - 1) + ", or " +
                                  std::to_string(c.num_classes) + " for none, got " + std::to_string(label));
    }
  }
  if (options.cfg_channels < 0 || options.cfg_channels > c.channels) {
    throw std::invalid_argument("guided channels: expected 0 to the model's " + std::to_string(c.channels) +
                                ", got " + std::to_string(options.cfg_channels));
  }
  const Diffusion diffusion(NoiseSchedule::linear(options.diffusion_steps).respaced(options.steps));
  Tensor out = at::empty({count, c.input_size, c.input_size, c.channels}, at::kFloat);
  for (int64_t first = 0; first < count; first += options.rows) {
    Tensor part = out.narrow(0, first, std::min(options.rows, count - first));
    const Tensor own = at::tensor(labels, at::kLong).narrow(0, first, part.size(0)).to(device);
    const Tensor both = at::cat({own, at::full_like(own, c.num_classes)});
    const Denoiser plain = [&](const Tensor& x, const Tensor& t) { return model.forward(x, t, own); };
    const Denoiser twice = [&](const Tensor& x, const Tensor& t) { return model.forward(x, t, both); };
    const Denoiser denoiser =
        options.cfg_scale == 1 ? plain : guided(twice, options.cfg_scale, options.cfg_channels);
    const auto noise = [&](int64_t k) { return noise_of(options, k, first, part).to(device); };
    part.copy_(diffusion.sample(denoiser, noise(options.steps), noise));
    if (on_done) on_done(first + part.size(0));
  }
  return out;
}

std::vector<int64_t> random_labels(int64_t count, int64_t num_classes, uint64_t seed) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; ++i) {
    Draws draws(seed, DrawsFor::kSample, kLabelStep, static_cast<uint64_t>(i));
    out.push_back(draws.below(static_cast<int>(num_classes)));
  }
  return out;
}

Tensor sampled_bytes(const Tensor& pixels) {
  return (127.5 * pixels + 128).clamp(0, 255).floor().to(at::kByte);
}

}  // namespace seednorm::lab
