#include "lab/vision/mae/workload.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lab/base/machine.h"
#include "lab/base/progress.h"
#include "lab/vision/data/draws.h"
#include "lab/vision/interop/mae_dir.h"

namespace seednorm::lab {

namespace fs = std::filesystem;
using at::Tensor;

std::unique_ptr<Workload> mae_workload(const WorkloadConfig& config, const TrainConfig& train,
                                       Purpose purpose) {
  return std::make_unique<MaeWorkload>(dynamic_cast<const MaeWorkloadConfig&>(config), train, purpose);
}

Tensor mask_noise(uint64_t seed, int64_t step, int64_t first_row, int64_t rows, int64_t patches) {
  Tensor out = at::empty({rows, patches}, at::kFloat);
  float* values = out.data_ptr<float>();
  for (int64_t row = 0; row < rows; ++row) {
    Draws draws(seed, DrawsFor::kMask, static_cast<uint64_t>(step), static_cast<uint64_t>(first_row + row));
    for (int64_t i = 0; i < patches; ++i) *values++ = static_cast<float>(draws.uniform());
  }
  return out;
}

MaeWorkload::MaeWorkload(const MaeWorkloadConfig& config, const TrainConfig& train, Purpose purpose)
    : config_(config), train_(train) {
  config_.model.check();
  if (purpose == Purpose::kTraining) {
    data_ = std::make_unique<PictureData>(config_.pictures, train_, config_.training_augment(),
                                          config_.evaluation_augment());
  }
  if (purpose != Purpose::kCounting) {
    refuse_more_than_memory(16 * config_.model.estimated_params(),
                            "weights, gradients and AdamW's state of the model");
  }
  if (purpose == Purpose::kBenchmark) {
    const int64_t size = config_.model.image_size;
    random_pixels_ = at::randn({train_.batch_size, size, size, 3});
  }
  model_ = std::make_shared<Mae>(config_.model);
  if (purpose == Purpose::kCounting) return;
  model_->initialize(static_cast<uint64_t>(train_.seed));
  model_->set_dtype(train_.dtype == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat);
}

Counts MaeWorkload::counts() const {
  return counts_of(*model_, model_->flops_per_image(),
                   [&](const std::string& norm) { return model_->norm_rows(norm); });
}

Batch MaeWorkload::batch(int64_t step, RowRange rows) const {
  const Tensor pixels =
      data_ ? data_->read(step, rows).pixels : random_pixels_.narrow(0, rows.first, rows.count);
  return {.tensors = {pixels, mask_noise(static_cast<uint64_t>(train_.data_seed), step, rows.first,
                                         rows.count, config_.model.num_patches())},
          .units = rows.count,
          .step = step,
          .first_row = rows.first};
}

// As many patches of each picture are masked, so that the mean over a batch is that of its parts' means.
Loss MaeWorkload::loss(const Batch& batch, double share) {
  const Masking masking = mask_by(batch.tensors[1], config_.model.num_kept());
  const Tensor prediction = model_->forward(batch.tensors[0], masking);
  const Tensor targets =
      mae_targets(batch.tensors[0], config_.model.patch_size, config_.model.normalize_pixels);
  const Tensor total = mae_loss(prediction, targets, masking.mask) * share;
  return {.total = total, .parts = {{"loss", total}}};
}

std::vector<std::unique_ptr<Probe>> MaeWorkload::probes() {
  std::vector<std::unique_ptr<Probe>> out;
  if (data_) out.push_back(mae_probe(*this));
  return out;
}

void MaeWorkload::save(const fs::path& folder) const { write_mae(*model_, folder); }

void MaeWorkload::load(const fs::path& folder) { load_mae_weights(*model_, folder); }

std::string MaeWorkload::fingerprint() const { return data_ ? data_->fingerprint() : ""; }

std::string MaeWorkload::summary() const {
  std::string out = "masked autoencoder, " + with_unit(static_cast<double>(counts().params)) +
                    " parameters; norms: " + to_text(config_.model.norms) + "\n";
  if (data_) out += with_unit(static_cast<double>(data_->size())) + " pictures\n";
  return out;
}

nlohmann::json MaeWorkload::model_config() const { return mae_json(config_.model); }

}  // namespace seednorm::lab
