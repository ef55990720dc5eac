#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>
#include <optional>

#include "lab/nn/device.h"
#include "lab/vision/diffuse/sampler.h"
#include "lab/vision/diffuse/workload.h"
#include "lab/vision/pictures/picture_grid.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr uint64_t kSeed = 0;  // the same noise for every run
constexpr int64_t kStep = 0;

class DiffuseProbe : public Probe {
 public:
  explicit DiffuseProbe(const DiffuseWorkload& workload) : workload_(workload) {}

  int64_t every() const override { return workload_.train().eval_every; }

  std::vector<MetricInfo> metrics() const override {
    const std::string of = workload_.weight_average() != nullptr ? " of averaged weights" : "";
    return {{.name = "val_loss", .title = "Validation loss" + of, .unit = workload_.loss_unit()},
            {.name = "val_mse", .title = "Error of the noise" + of, .unit = "mean square error"},
            {.name = "val_bound", .title = "Variational bound" + of, .unit = "bits per number"}};
  }

  Measurement run(const Group& /*group*/) override {
    const at::NoGradGuard no_grad;
    std::optional<WeightAverage::InUse> in_use;
    if (WeightAverage* average = workload_.weight_average()) in_use.emplace(*average);
    double mse = 0, bound = 0;
    int64_t images = 0;
    workload_.data()->for_measured(workload_.train().micro_rows(), [&](int64_t first, const PictureRows& p) {
      const int64_t rows = p.pixels.size(0);
      const auto there = [&](const Tensor& t) { return t.to(model_device(workload_.model())); };
      const DiffusionDraws drawn = workload_.draw(kSeed, kStep, first, rows);
      const DiffusionLoss each = workload_.loss_of(there(p.pixels), there(at::tensor(p.labels, at::kLong)),
                                                   there(drawn.t), there(drawn.noise));
      mse += each.mse.to(at::kDouble).sum().item<double>();
      bound += each.bound.to(at::kDouble).sum().item<double>();
      images += rows;
    });
    mse /= static_cast<double>(images);
    bound /= static_cast<double>(images);
    Measurement out;
    out.values = {{"val_loss", mse + bound}, {"val_mse", mse}, {"val_bound", bound}};
    out.line = {{"valid", {{"images", images}, {"mse", mse}, {"bound", bound}}}};
    if (workload_.config().sample_count > 0) out.line["samples"].push_back(samples());
    return out;
  }

 private:
  // Classes one after the other, from the same noise at every measurement.
  nlohmann::ordered_json samples() const {
    const DiffuseConfig& c = workload_.config();
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < c.sample_count; ++i) labels.push_back(i % c.model.num_classes);
    const Tensor pixels = sample_pictures(workload_.model(), labels,
                                          {.diffusion_steps = c.diffusion_steps,
                                           .steps = c.sample_steps,
                                           .cfg_scale = c.cfg_scale,
                                           .cfg_channels = c.cfg_channels,
                                           .seed = kSeed});
    const auto columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(c.sample_count))));
    return sample_of("Pictures that the model makes, of each class in turn", images_of(sampled_bytes(pixels)),
                     columns);
  }

  const DiffuseWorkload& workload_;
};

}  // namespace

std::unique_ptr<Probe> diffuse_probe(const DiffuseWorkload& workload) {
  return std::make_unique<DiffuseProbe>(workload);
}

}  // namespace seednorm::lab
