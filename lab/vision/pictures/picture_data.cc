#include "lab/vision/pictures/picture_data.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/nn/norm_flops.h"
#include "lab/vision/data/image_subset.h"
#include "lab/vision/nn/batch_statistics.h"
#include "lab/vision/pictures/picture_grid.h"

namespace seednorm::lab {

using at::Tensor;

Tensor tensor_of(std::vector<float> pixels, int64_t rows, int64_t size) {
  const auto owner = std::make_shared<std::vector<float>>(std::move(pixels));
  return at::from_blob(
      owner->data(), {rows, size, size, 3}, [owner](void*) {}, at::kFloat);
}

namespace {

PictureRows rows_of(ImageBatch batch) {
  const int64_t rows = batch.rows();
  return {tensor_of(std::move(batch.pixels), rows, batch.size), {batch.labels.begin(), batch.labels.end()}};
}

// Without the damaged ones, whose label is -1.
PictureRows whole_rows(PictureRows all) {
  std::vector<int64_t> places, labels;
  for (size_t i = 0; i < all.labels.size(); ++i) {
    if (all.labels[i] < 0) continue;
    places.push_back(static_cast<int64_t>(i));
    labels.push_back(all.labels[i]);
  }
  if (places.size() == all.labels.size()) return all;
  return {all.pixels.index_select(0, at::tensor(places, at::kLong)), std::move(labels)};
}

}  // namespace

std::unique_ptr<ImageSet> open_training_set(const PictureConfig& config) {
  if (config.train_data.empty()) {
    throw UserError(
        "train_data: no pictures given; train_data=FOLDER is a folder with a folder for each class, a .tar "
        "file, CIFAR or IDX");
  }
  return open_image_set(config.train_data);
}

std::unique_ptr<ImageSet> open_measured_set(const PictureConfig& config, const ImageSet& training,
                                            int64_t rows) {
  const std::string& place = config.valid_data.empty() ? config.train_data : config.valid_data;
  std::unique_ptr<ImageSet> out = open_image_set(place, {.is_test = true});
  if (out->fingerprint() == training.fingerprint()) {
    throw UserError("valid_data: " + place + " is the training set itself; expected other pictures");
  }
  try {
    check_same_classes(training, *out);
  } catch (const UserError& e) {
    throw UserError((config.valid_data.empty() ? "train_data: the test part of " : "valid_data: ") + place +
                    ": " + e.what());
  }
  if (rows > 0 && rows < out->size()) out = std::make_unique<ImageSubset>(std::move(out), rows);
  return out;
}

int64_t classes_of(const PictureConfig& config, const std::vector<std::string>& classes, int64_t wanted) {
  const auto found = static_cast<int64_t>(classes.size());
  if (wanted != 0 && wanted != found) {
    throw UserError("num_classes: " + config.train_data + " has " + std::to_string(found) +
                    " classes, the model " + std::to_string(wanted));
  }
  return found;
}

std::optional<std::vector<std::string>> left_out(const PictureConfig& config, const ImageLoader* loader) {
  if (!config.skip_damaged || loader == nullptr) return std::nullopt;
  return loader->damaged();
}

PictureData::PictureData(const PictureConfig& config, const TrainConfig& train,
                         const AugmentOptions& training, const AugmentOptions& evaluation)
    : config_(config),
      training_({.batch_size = train.batch_size,
                 .seed = static_cast<uint64_t>(train.data_seed),
                 .augment = training,
                 .skip_damaged = config.skip_damaged,
                 .num_workers = static_cast<int>(config.workers),
                 .rows_at_once = train.micro_rows()}),
      evaluation_(evaluation) {
  train_set_ = open_training_set(config);
  measured_ = open_measured_set(config, *train_set_, train.eval_rows);
  loader_ = std::make_unique<ImageLoader>(*train_set_, training_);
}

std::string PictureData::first_batch_png() const { return lab::first_batch_png(*train_set_, training_); }

PictureRows PictureData::read(int64_t step, RowRange rows) const {
  return rows_of(loader_->read(step, rows.first, rows.count));
}

LoaderOptions PictureData::measuring(int64_t rows) const {
  return {.is_training = false,
          .batch_size = rows,
          .augment = evaluation_,
          .skip_damaged = config_.skip_damaged,
          .num_workers = static_cast<int>(config_.workers)};
}

std::vector<std::string> PictureData::for_measured(
    int64_t rows, const std::function<void(int64_t, const PictureRows&)>& work) const {
  ImageLoader loader(*measured_, measuring(rows));
  bool has_any = false;
  for (int64_t step = 0; step < loader.num_steps(); ++step) {
    check_interrupt();
    const PictureRows whole = whole_rows(rows_of(loader.read(step)));
    if (whole.labels.empty()) continue;
    work(step * rows, whole);
    has_any = true;
  }
  if (!has_any) throw UserError(all_damaged(loader.damaged()));
  return loader.damaged();
}

PictureRows PictureData::first_measured(int64_t count) const {
  ImageLoader loader(*measured_, measuring(std::min(count, measured_->size())));
  return whole_rows(rows_of(loader.read(0)));
}

Counts counts_of(const torch::nn::Module& model, double flops_per_image, const NormRows& rows) {
  constexpr double kPasses = 3;  // backward needs twice the FLOPs of forward
  Counts out;
  for (const ParamInfo& p : params_of(model)) out.params += p.tensor.numel();
  const auto add = [&](const std::string& name, const torch::nn::Module& norm, double flops,
                       int64_t replaced) {
    for (const auto& p : norm.named_parameters()) out.norm_params += p.value().numel();
    out.extra_params -= replaced;
    out.norm_flops_per_unit += kPasses * rows(name) * flops;
  };
  for (const auto& module : model.named_modules({}, /*include_self=*/false)) {
    if (const auto* norm = dynamic_cast<const NormLayer*>(module.value().get())) {
      // What RMSNorm would have there.
      add(module.key(), *norm, flops_of_row(*norm), norm->affine() == Affine::kOwn ? norm->layer().dim() : 0);
    } else if (const auto* batch = dynamic_cast<const BatchStatisticsNorm*>(module.value().get())) {
      add(module.key(), *batch, batch->operations() * static_cast<double>(batch->channels()),
          batch->channels());
    }
  }
  out.extra_params += out.norm_params;
  out.active_params = out.params;
  out.flops_per_unit = flops_per_image;
  return out;
}

}  // namespace seednorm::lab
