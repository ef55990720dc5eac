#include "lab/vision/classify/accuracy.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "lab/base/interrupt.h"
#include "lab/dist/divide.h"
#include "lab/nn/device.h"
#include "lab/vision/classify/workload.h"
#include "lab/vision/pictures/picture_data.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr int64_t kTop = 5;

double cross_entropy(std::span<const float> logits, int64_t label) {
  double largest = logits[0], sum = 0;
  for (const float l : logits) largest = std::max<double>(largest, l);
  for (const float l : logits) sum += std::exp(l - largest);
  return largest + std::log(sum) - logits[label];
}

class AccuracyProbe : public Probe {
 public:
  AccuracyProbe(const ClassifyWorkload& workload, std::unique_ptr<ImageSet> set)
      : workload_(workload), set_(std::move(set)) {
    const ClassifyConfig& config = workload.config();
    options_ = {.augment = config.evaluation_augment(),
                .rows = workload.train().micro_rows(),
                .workers = static_cast<int>(config.pictures.workers),
                .skip_damaged = config.pictures.skip_damaged};
  }

  int64_t every() const override { return workload_.train().eval_every; }

  std::vector<MetricInfo> metrics() const override {
    std::vector<MetricInfo> out;
    const bool both = workload_.weight_average() != nullptr;
    // What the recipe is evaluated by comes first.
    for (const bool average : {true, false}) {
      if (average && !both) continue;
      const std::string prefix = average ? "ema_" : "", of = average ? " of averaged weights" : "";
      out.push_back({.name = prefix + "acc1", .title = "Acc@1" + of, .unit = "%", .lower_is_better = false});
      out.push_back({.name = prefix + "acc5", .title = "Acc@5" + of, .unit = "%", .lower_is_better = false});
      out.push_back({.name = prefix + "val_loss", .title = "Validation loss" + of, .unit = "nats per image"});
    }
    return out;
  }

  Measurement run(const Group& group) override {
    Measurement out;
    if (WeightAverage* average = workload_.weight_average()) {
      const WeightAverage::InUse in_use(*average);
      add("ema_", group, &out);
    }
    add("", group, &out);
    return out;
  }

 private:
  void add(const std::string& prefix, const Group& group, Measurement* out) const {
    const Accuracy a = measure_accuracy(workload_.model(), *set_, options_, {}, group);
    out->values.insert(
        out->values.end(),
        {{prefix + "acc1", a.acc1()}, {prefix + "acc5", a.acc5()}, {prefix + "val_loss", a.loss()}});
    out->line["accuracy"][prefix.empty() ? "weights" : "average"] = {
        {"images", a.images}, {"top1", a.top1}, {"top5", a.top5}, {"loss", a.loss()}, {"damaged", a.damaged}};
  }

  const ClassifyWorkload& workload_;
  std::unique_ptr<ImageSet> set_;
  AccuracyOptions options_;
};

}  // namespace

int64_t rank_of(std::span<const float> logits, int64_t label) {
  int64_t before = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(logits.size()); ++i) {
    if (std::isnan(logits[i])) return static_cast<int64_t>(logits.size());
    if (logits[i] > logits[label] || (logits[i] == logits[label] && i < label)) ++before;
  }
  return before;
}

Accuracy measure_accuracy(ImageModel& model, const ImageSet& set, const AccuracyOptions& options,
                          const OnPrediction& on_prediction, const Group& group) {
  const at::NoGradGuard no_grad;
  ImageLoader loader(set, {.is_training = false,
                           .batch_size = options.rows,
                           .augment = options.augment,
                           .skip_damaged = options.skip_damaged,
                           .num_workers = options.workers});
  const auto measure = [&](int64_t step) {
    Accuracy out;
    check_interrupt();
    ImageBatch batch = loader.read(step);
    const std::vector<int>& labels = batch.labels;
    const Tensor pixels = tensor_of(std::move(batch.pixels), batch.rows(), batch.size);
    const Tensor logits = model.logits(pixels.to(model_device(model))).cpu().contiguous();
    const auto classes = static_cast<size_t>(logits.size(1));
    for (size_t row = 0; row < labels.size(); ++row) {
      const std::span<const float> own(logits.const_data_ptr<float>() + row * classes, classes);
      if (labels[row] < 0) {
        ++out.damaged;
        continue;
      }
      if (on_prediction) on_prediction(batch.indices[row], labels[row], own);
      const int64_t rank = rank_of(own, labels[row]);
      ++out.images;
      out.top1 += rank < 1;
      out.top5 += rank < std::min<int64_t>(kTop, logits.size(1));
      out.loss_sum += cross_entropy(own, labels[row]);
    }
    return out;
  };
  constexpr int64_t kNumbers = 5;
  const Tensor steps = divided(group, loader.num_steps(), kNumbers, [&](int64_t step, double* out) {
    const Accuracy a = measure(step);
    const auto count = [](int64_t n) { return static_cast<double>(n); };
    const std::array<double, kNumbers> all = {count(a.images), count(a.top1), count(a.top5), count(a.damaged),
                                              a.loss_sum};
    std::copy(all.begin(), all.end(), out);
  });
  Accuracy out;
  for (int64_t step = 0; step < steps.size(0); ++step) {
    const double* of_step = steps.const_data_ptr<double>() + step * kNumbers;
    out.images += std::llround(of_step[0]);
    out.top1 += std::llround(of_step[1]);
    out.top5 += std::llround(of_step[2]);
    out.damaged += std::llround(of_step[3]);
    out.loss_sum += of_step[4];
  }
  return out;
}

std::unique_ptr<Probe> accuracy_probe(const ClassifyWorkload& workload) {
  return std::make_unique<AccuracyProbe>(
      workload, open_measured_set(workload.config().pictures, *workload.set(), workload.train().eval_rows));
}

}  // namespace seednorm::lab
