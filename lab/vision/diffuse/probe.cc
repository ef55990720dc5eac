#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>
#include <optional>

#include "lab/base/error.h"
#include "lab/nn/device.h"
#include "lab/vision/diffuse/sampler.h"
#include "lab/vision/diffuse/workload.h"
#include "lab/vision/eval/feature_net.h"
#include "lab/vision/eval/frechet_distance.h"
#include "lab/vision/eval/picture_files.h"
#include "lab/vision/pictures/picture_grid.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr uint64_t kSeed = 0;  // the same noise for every run
constexpr int64_t kStep = 0;

// Bytes [count, size, size, 3] that the model makes, of each class in turn, from the same noise at every
// measurement.
Tensor made_pictures(const DiffuseWorkload& workload, int64_t count) {
  const DiffuseConfig& c = workload.config();
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) labels.push_back(i % c.model.num_classes);
  return sampled_bytes(sample_pictures(workload.model(), labels,
                                       {.diffusion_steps = c.diffusion_steps,
                                        .steps = c.sample_steps,
                                        .cfg_scale = c.cfg_scale,
                                        .cfg_channels = c.cfg_channels,
                                        .seed = kSeed}));
}

std::unique_ptr<ImageSet> as_set(const Tensor& bytes, const std::string& name) {
  const Tensor rows = bytes.contiguous();
  const uint8_t* data = rows.const_data_ptr<uint8_t>();
  return pictures_of({.num = rows.size(0),
                      .height = rows.size(1),
                      .width = rows.size(2),
                      .pixels = {data, data + rows.numel()}},
                     name);
}

// The Frechet distance of made pictures and those that are measured, at the size that the model makes.
class FrechetOfMade {
 public:
  explicit FrechetOfMade(const DiffuseWorkload& workload)
      : workload_(workload),
        net_(open_feature_net(workload.config().frechet_model)),
        real_(net_->num_features()) {
    const auto add = [&](int64_t, const PictureRows& p) {
      const Tensor bytes = bytes_of(p.pixels, workload.config().evaluation_augment().normalization);
      real_.merge(moments_of(*net_, *as_set(bytes, "measured"), kRows));
    };
    workload.data()->for_measured(kRows, add);  // what it leaves out is named by the measurements of the run
    if (real_.count() < 2) throw UserError("frechet_model: expected two or more pictures that are measured");
  }

  MetricInfo metric() const {
    return {
        .name = net_->metric(), .title = net_->metric() == "fid" ? "FID" : "Frechet distance", .unit = ""};
  }
  double distance() {
    const auto made = as_set(made_pictures(workload_, workload_.config().frechet_count), "made");
    return frechet_distance(moments_of(*net_, *made, kRows), real_);
  }

 private:
  static constexpr int64_t kRows = 64;

  const DiffuseWorkload& workload_;
  std::unique_ptr<FeatureNet> net_;
  FeatureMoments real_;
};

class DiffuseProbe : public Probe {
 public:
  explicit DiffuseProbe(const DiffuseWorkload& workload) : workload_(workload) {
    if (!workload.config().frechet_model.empty()) frechet_.emplace(workload);
  }

  int64_t every() const override { return workload_.train().eval_every; }

  std::vector<MetricInfo> metrics() const override {
    const std::string of = workload_.weight_average() != nullptr ? " of averaged weights" : "";
    std::vector<MetricInfo> out = {
        {.name = "val_loss", .title = "Validation loss" + of, .unit = workload_.loss_unit()},
        {.name = "val_mse", .title = "Error of the noise" + of, .unit = "mean square error"},
        {.name = "val_bound", .title = "Variational bound" + of, .unit = "bits per number"}};
    if (frechet_) out.push_back(frechet_->metric());
    return out;
  }

  Measurement run(const Group& /*group*/) override {
    const at::NoGradGuard no_grad;
    std::optional<WeightAverage::InUse> in_use;
    if (WeightAverage* average = workload_.weight_average()) in_use.emplace(*average);
    double mse = 0, bound = 0;
    int64_t images = 0;
    const auto measure = [&](int64_t first, const PictureRows& p) {
      const int64_t rows = p.pixels.size(0);
      const auto there = [&](const Tensor& t) { return t.to(model_device(workload_.model())); };
      const DiffusionDraws drawn = workload_.draw(kSeed, kStep, first, rows);
      const DiffusionLoss each = workload_.loss_of(there(p.pixels), there(at::tensor(p.labels, at::kLong)),
                                                   there(drawn.t), there(drawn.noise));
      mse += each.mse.to(at::kDouble).sum().item<double>();
      bound += each.bound.to(at::kDouble).sum().item<double>();
      images += rows;
    };
    Measurement out;
    out.left_out = workload_.data()->for_measured(workload_.train().micro_rows(), measure);
    mse /= static_cast<double>(images);
    bound /= static_cast<double>(images);
    out.values = {{"val_loss", mse + bound}, {"val_mse", mse}, {"val_bound", bound}};
    out.line = {{"valid", {{"images", images}, {"mse", mse}, {"bound", bound}}}};
    if (workload_.config().sample_count > 0) out.line["samples"].push_back(samples());
    if (frechet_) out.values.emplace_back(frechet_->metric().name, frechet_->distance());
    return out;
  }

 private:
  nlohmann::ordered_json samples() const {
    const int64_t count = workload_.config().sample_count;
    const auto columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(count))));
    return sample_of("Pictures that the model makes, of each class in turn",
                     images_of(made_pictures(workload_, count)), columns);
  }

  const DiffuseWorkload& workload_;
  std::optional<FrechetOfMade> frechet_;
};

}  // namespace

std::unique_ptr<Probe> diffuse_probe(const DiffuseWorkload& workload) {
  return std::make_unique<DiffuseProbe>(workload);
}

}  // namespace seednorm::lab
