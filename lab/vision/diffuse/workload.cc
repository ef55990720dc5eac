#include "lab/vision/diffuse/workload.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lab/base/error.h"
#include "lab/base/machine.h"
#include "lab/base/progress.h"
#include "lab/vision/data/draws.h"
#include "lab/vision/data/normals.h"
#include "lab/vision/interop/dit_dir.h"
#include "lab/vision/pictures/latent_data.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

constexpr int64_t kImageNetClasses = 1000;

}  // namespace

std::unique_ptr<Workload> diffuse_workload(const WorkloadConfig& config, const TrainConfig& train,
                                           Purpose purpose) {
  return std::make_unique<DiffuseWorkload>(dynamic_cast<const DiffuseConfig&>(config), train, purpose);
}

DiffuseWorkload::DiffuseWorkload(const DiffuseConfig& config, const TrainConfig& train, Purpose purpose)
    : config_(config), train_(train), diffusion_(NoiseSchedule::linear(config.diffusion_steps)) {
  if (purpose == Purpose::kTraining) open_data();
  if (config_.model.num_classes == 0) config_.model.num_classes = kImageNetClasses;
  config_.model.check();
  if (purpose != Purpose::kCounting) {
    refuse_more_than_memory(20 * config_.model.estimated_params(),
                            "weights, their average, gradients and AdamW's state of the model");
  }
  if (purpose == Purpose::kBenchmark) {
    const DitConfig& c = config_.model;
    random_pixels_ = at::randn({train_.batch_size, c.input_size, c.input_size, c.channels});
  }
  model_ = std::make_shared<Dit>(config_.model);
  if (purpose == Purpose::kCounting) return;
  model_->initialize(static_cast<uint64_t>(train_.seed));
  model_->set_dtype(train_.dtype == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat);
  if (config_.average.decay > 0) {
    average_ = std::make_unique<WeightAverage>(model_->params(), config_.average);
  }
}

void DiffuseWorkload::open_data() {
  const DitConfig& c = config_.model;
  if (config_.has_latents()) {
    data_ = std::make_unique<LatentData>(config_.pictures, train_, c.channels, c.input_size,
                                         config_.latent_scale);
  } else {
    data_ = std::make_unique<PictureData>(config_.pictures, train_, config_.training_augment(),
                                          config_.evaluation_augment());
  }
  config_.model.num_classes = classes_of(config_.pictures, data_->classes(), c.num_classes);
}

Counts DiffuseWorkload::counts() const {
  return counts_of(*model_, model_->flops_per_image(),
                   [&](const std::string& norm) { return model_->norm_rows(norm); });
}

DiffusionDraws DiffuseWorkload::draw(uint64_t seed, int64_t step, int64_t first_row, int64_t rows) const {
  const DitConfig& c = config_.model;
  DiffusionDraws out = {at::empty({rows}, at::kLong),
                        at::empty({rows, c.input_size, c.input_size, c.channels}, at::kFloat),
                        at::empty({rows}, at::kBool)};
  const int64_t each = c.input_size * c.input_size * c.channels;
  for (int64_t row = 0; row < rows; ++row) {
    Draws draws(seed, DrawsFor::kDiffuse, static_cast<uint64_t>(step),
                static_cast<uint64_t>(first_row + row));
    out.t.data_ptr<int64_t>()[row] = draws.below(static_cast<int>(config_.diffusion_steps));
    out.unlabeled.data_ptr<bool>()[row] = draws.uniform() < config_.label_dropout;
    fill_normal(draws, {out.noise.data_ptr<float>() + row * each, static_cast<size_t>(each)});
  }
  return out;
}

// Pictures, labels (num_classes where none is shown), steps and noise.
Batch DiffuseWorkload::batch(int64_t step, RowRange rows) const {
  const DitConfig& c = config_.model;
  const DiffusionDraws drawn = draw(static_cast<uint64_t>(train_.data_seed), step, rows.first, rows.count);
  Tensor pixels, labels;
  if (data_) {
    const PictureRows pictures = data_->read(step, rows);
    pixels = pictures.pixels;
    labels = at::tensor(pictures.labels, at::kLong);
  } else {
    pixels = random_pixels_.narrow(0, rows.first, rows.count);
    labels = at::zeros({rows.count}, at::kLong);
  }
  return {.tensors = {pixels, labels.masked_fill(drawn.unlabeled, c.num_classes), drawn.t, drawn.noise},
          .units = rows.count,
          .step = step,
          .first_row = rows.first};
}

DiffusionLoss DiffuseWorkload::loss_of(const Tensor& pixels, const Tensor& labels, const Tensor& t,
                                       const Tensor& noise) const {
  const Tensor xt = diffusion_.noised(pixels, t, noise);
  return diffusion_.loss(model_->forward(xt, t, labels), pixels, xt, t, noise);
}

Loss DiffuseWorkload::loss(const Batch& batch, double share) {
  const auto& b = batch.tensors;
  const DiffusionLoss each = loss_of(b[0], b[1], b[2], b[3]);
  const Tensor mse = each.mse.mean() * share, bound = each.bound.mean() * share;
  const Tensor total = mse + bound;
  return {.total = total, .parts = {{"loss", total}, {"mse", mse}, {"bound", bound}}};
}

std::vector<std::unique_ptr<Probe>> DiffuseWorkload::probes() {
  std::vector<std::unique_ptr<Probe>> out;
  if (data_) out.push_back(diffuse_probe(*this));
  return out;
}

void DiffuseWorkload::save(const fs::path& folder) const {
  write_dit(*model_, config_.diffusion_steps, folder);
}

void DiffuseWorkload::load(const fs::path& folder) {
  load_dit_weights(*model_, folder / "model.safetensors");
}

std::string DiffuseWorkload::fingerprint() const { return data_ ? data_->fingerprint() : ""; }

std::string DiffuseWorkload::summary() const {
  std::string out = "DiT, " + with_unit(static_cast<double>(counts().params)) +
                    " parameters; norms: " + to_text(config_.model.norms) + "\n";
  if (data_) {
    out += with_unit(static_cast<double>(data_->size())) +
           (config_.has_latents() ? " latents in " : " pictures in ") +
           std::to_string(data_->classes().size()) + " classes\n";
  }
  return out;
}

nlohmann::json DiffuseWorkload::model_config() const {
  return dit_json({config_.model, config_.diffusion_steps});
}

}  // namespace seednorm::lab
