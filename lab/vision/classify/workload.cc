#include "lab/vision/classify/workload.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/machine.h"
#include "lab/base/progress.h"
#include "lab/vision/classify/accuracy.h"
#include "lab/vision/interop/mae_dir.h"
#include "lab/vision/models/initialize.h"
#include "lab/vision/pictures/picture_data.h"
#include "lab/vision/pictures/picture_grid.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

constexpr int64_t kImageNetClasses = 1000;

}  // namespace

std::unique_ptr<Workload> classify_workload(const WorkloadConfig& config, const TrainConfig& train,
                                            Purpose purpose) {
  return std::make_unique<ClassifyWorkload>(dynamic_cast<const ClassifyConfig&>(config), train, purpose);
}

ClassifyWorkload::ClassifyWorkload(const ClassifyConfig& config, const TrainConfig& train, Purpose purpose)
    : config_(config), train_(train) {
  int64_t& classes = config_.model.num_classes;
  if (purpose == Purpose::kTraining) open_data();
  if (classes == 0) classes = kImageNetClasses;
  config_.model.check();
  if (purpose == Purpose::kBenchmark) {
    const int64_t side = config_.model.image_size;
    random_pixels_ = at::randn({train.batch_size, side, side, 3});
  }
  build_model(purpose);
}

void ClassifyWorkload::open_data() {
  set_ = open_training_set(config_.pictures);
  config_.model.num_classes = classes_of(config_.pictures, set_->classes(), config_.model.num_classes);
  loader_ = std::make_unique<ImageLoader>(*set_, loader_options());
}

LoaderOptions ClassifyWorkload::loader_options() const {
  return {.batch_size = train_.batch_size,
          .seed = static_cast<uint64_t>(train_.data_seed),
          .augment = config_.training_augment(),
          .mix = config_.mix(),
          .smoothing = config_.label_smoothing,
          .skip_damaged = config_.pictures.skip_damaged,
          .num_workers = static_cast<int>(config_.pictures.workers),
          .rows_at_once = train_.micro_rows()};
}

std::string ClassifyWorkload::first_batch_png() const {
  return set_ ? lab::first_batch_png(*set_, loader_options()) : "";
}

void ClassifyWorkload::build_model(Purpose purpose) {
  if (purpose != Purpose::kCounting) {
    const double bytes_per_param = config_.average.decay > 0 ? 20 : 16;
    refuse_more_than_memory(
        bytes_per_param * config_.model.estimated_params(),
        "weights, their average if there is one, gradients and AdamW's state of the model");
  }
  model_ = make_image_model(config_.model);
  drops_ = std::any_of(config_.model.norms.begin(), config_.model.norms.end(),
                       [](const NormSites::Entry& e) { return e.spec.options.dropout > 0; });
  if (drops_ && train_.micro_rows() != train_.batch_size) {
    throw UserError("micro_batch_size: the dropout of norms draws for a whole batch; expected 0");
  }
  check_whole_batch(train_.micro_rows());
  if (purpose == Purpose::kCounting) return;
  model_->initialize(static_cast<uint64_t>(train_.seed));
  if (purpose == Purpose::kTraining && !config_.init_from.empty()) begin_with_encoder();
  model_->set_dtype(train_.dtype == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat);
  if (config_.average.decay > 0) {
    average_ = std::make_unique<WeightAverage>(model_->state(), config_.average);
  }
}

// As MAE's code: the head begins near 0.
void ClassifyWorkload::begin_with_encoder() {
  constexpr double kHeadStd = 2e-5;
  if (!fs::exists(fs::path(config_.init_from) / "config.json")) {
    throw UserError(
        "init_from: " + config_.init_from +
        " has no config.json; expected the model directory of a masked autoencoder, as a checkpoint "
        "of the workload mae or transformers' ViTMAE");
  }
  load_encoder(*model_, config_.init_from);
  const at::NoGradGuard no_grad;
  for (const ParamInfo& p : model_->params()) {
    if (p.name == "head.weight") fill_normal(p, kHeadStd, static_cast<uint64_t>(train_.seed));
  }
}

void ClassifyWorkload::check_whole_batch(int64_t rows) const {
  const std::string norm = config_.model.norm_over_batch();
  if (norm.empty()) return;
  if (rows != train_.batch_size) {
    throw UserError("micro_batch_size: " + norm + " takes its statistics from the whole batch of " +
                    std::to_string(train_.batch_size) + " pictures, which a pass of " + std::to_string(rows) +
                    " would change; expected 0, and one process");
  }
  if (rows < 2) throw UserError("batch_size: " + norm + " needs 2 pictures or more, got 1");
}

Counts ClassifyWorkload::counts() const {
  return counts_of(*model_, model_->flops_per_image(),
                   [&](const std::string& norm) { return model_->norm_rows(norm); });
}

Batch ClassifyWorkload::batch(int64_t step, RowRange rows) const {
  Batch out = {.tensors = {}, .units = rows.count, .step = step, .first_row = rows.first};
  const int64_t classes = config_.model.num_classes;
  if (!loader_) {
    out.tensors = {random_pixels_.narrow(0, rows.first, rows.count),
                   at::full({rows.count, classes}, 1 / static_cast<double>(classes), at::kFloat)};
    return out;
  }
  ImageBatch pictures = loader_->read(step, rows.first, rows.count);
  const Tensor targets = at::empty({rows.count, classes}, at::kFloat);
  std::copy(pictures.targets.begin(), pictures.targets.end(), targets.data_ptr<float>());
  out.tensors = {tensor_of(std::move(pictures.pixels), rows.count, pictures.size), targets};
  return out;
}

std::optional<std::vector<std::string>> ClassifyWorkload::left_out() const {
  return lab::left_out(config_.pictures, loader_.get());
}

// Cross entropy with soft targets.
Loss ClassifyWorkload::loss(const Batch& batch, double share) {
  if (drops_ && batch.units != train_.batch_size) {
    throw UserError("the dropout of norms draws for a whole batch; train such a model in one process");
  }
  const Pass pass = {.training = true,
                     .seed = static_cast<uint64_t>(train_.data_seed),
                     .step = batch.step,
                     .first_row = batch.first_row};
  check_whole_batch(batch.units);
  const Tensor logits = model_->logits(batch.tensors[0], pass);
  const Tensor total =
      -(at::log_softmax(logits, -1) * batch.tensors[1]).sum() * (share / static_cast<double>(logits.size(0)));
  return {.total = total, .parts = {{"loss", total}}};
}

std::vector<std::unique_ptr<Probe>> ClassifyWorkload::probes() {
  std::vector<std::unique_ptr<Probe>> out;
  if (set_) out.push_back(accuracy_probe(*this));
  return out;
}

ImagePreprocessing ClassifyWorkload::preprocessing() const {
  return {.normalization = named_normalization(config_.normalization), .crop_part = config_.crop_part};
}

void ClassifyWorkload::save(const fs::path& folder) const {
  write_image_model(*model_, preprocessing(), folder);
}

void ClassifyWorkload::load(const fs::path& folder) { load_image_weights(*model_, folder); }

std::string ClassifyWorkload::fingerprint() const { return set_ ? set_->fingerprint() : ""; }

std::string ClassifyWorkload::summary() const {
  std::string out = std::string(name_of(config_.model.family)) + ", " +
                    with_unit(static_cast<double>(counts().params)) +
                    " parameters; norms: " + to_text(config_.model.norms) + "\n";
  if (set_) {
    out += with_unit(static_cast<double>(set_->size())) + " pictures in " +
           std::to_string(set_->classes().size()) + " classes\n";
  }
  return out;
}

nlohmann::json ClassifyWorkload::model_config() const {
  return image_model_json(config_.model, preprocessing());
}

}  // namespace seednorm::lab
