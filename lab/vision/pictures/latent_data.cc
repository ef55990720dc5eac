#include "lab/vision/pictures/latent_data.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/base/parallel.h"
#include "lab/base/permutation.h"
#include "lab/vision/data/draws.h"
#include "lab/vision/data/normals.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr uint64_t kMeasuredSeed = 0;

LatentSet open_latents(const char* setting, const std::string& folder, int64_t channels, int64_t size) {
  if (folder.empty()) {
    throw UserError(std::string(setting) +
                    ": expected a folder with a folder of latents for each class, as models of " +
                    std::to_string(channels) + " channels need");
  }
  return {folder, channels, size};
}

}  // namespace

LatentData::LatentData(const PictureConfig& config, const TrainConfig& train, int64_t channels, int64_t size,
                       double scale)
    : flip_(config.flip),
      scale_(scale),
      seed_(static_cast<uint64_t>(train.data_seed)),
      batch_size_(train.batch_size),
      channels_(channels),
      side_(size),
      train_set_(open_latents("train_data", config.train_data, channels, size)),
      measured_(open_latents("valid_data", config.valid_data, channels, size)) {
  if (train_set_.fingerprint() == measured_.fingerprint()) {
    throw UserError("valid_data: " + config.valid_data +
                    " is the training set itself; expected other latents");
  }
  if (train_set_.classes() != measured_.classes()) {
    throw UserError("valid_data: " + config.valid_data + " has other classes than " + config.train_data);
  }
  num_measured_ = train.eval_rows > 0 ? std::min(train.eval_rows, measured_.size()) : measured_.size();
}

PictureRows LatentData::sampled(const LatentSet& set, const std::vector<int64_t>& indices, double flip,
                                uint64_t seed, int64_t step, int64_t first) const {
  const auto rows = static_cast<int64_t>(indices.size());
  PictureRows out = {at::empty({rows, side_, side_, channels_}, at::kFloat), std::vector<int64_t>(rows)};
  parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    for (int64_t i = begin; i < end; ++i) {
      Draws draws(seed, DrawsFor::kLatent, static_cast<uint64_t>(step), static_cast<uint64_t>(first + i));
      const bool mirrored = draws.uniform() < flip;
      const Tensor noise = at::empty({channels_, side_, side_}, at::kFloat);
      fill_normal(draws, {noise.data_ptr<float>(), static_cast<size_t>(noise.numel())});
      out.pixels[i].copy_(sampled_latent(set.moments(indices[i], mirrored), noise, scale_));
      out.labels[i] = set.label(indices[i]);
    }
  });
  return out;
}

PictureRows LatentData::read(int64_t step, RowRange rows) const {
  std::vector<int64_t> indices;
  for (int64_t row = rows.first; row < rows.first + rows.count; ++row) {
    const int64_t position = step * batch_size_ + row;
    const Permutation order(size(), seed_, position / size());
    indices.push_back(static_cast<int64_t>(order(position % size())));
  }
  return sampled(train_set_, indices, flip_, seed_, step, rows.first);
}

std::vector<std::string> LatentData::for_measured(
    int64_t rows, const std::function<void(int64_t, const PictureRows&)>& work) const {
  for (int64_t first = 0; first < num_measured_; first += rows) {
    check_interrupt();
    std::vector<int64_t> indices;  // evenly spaced, as sets are in the order of their classes
    for (int64_t i = first; i < std::min(first + rows, num_measured_); ++i) {
      indices.push_back(i * measured_.size() / num_measured_);
    }
    work(first, sampled(measured_, indices, /*flip=*/0, kMeasuredSeed, /*step=*/0, first));
  }
  return {};
}

}  // namespace seednorm::lab
