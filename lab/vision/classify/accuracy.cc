#include "lab/vision/classify/accuracy.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "lab/base/interrupt.h"
#include "lab/dist/divide.h"
#include "lab/nn/device.h"
#include "lab/vision/classify/workload.h"
#include "lab/vision/pictures/picture_data.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr int64_t kTop = 5;
constexpr size_t kMaxListed = 1000;  // classes in metrics.jsonl

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
      out.push_back({.name = "best_" + prefix + "acc1",
                     .title = "Best Acc@1 so far" + of,
                     .unit = "%",
                     .lower_is_better = false});
      out.push_back({.name = prefix + "val_loss", .title = "Validation loss" + of, .unit = "nats per image"});
    }
    return out;
  }

  void recall(const nlohmann::json& line) override {
    const nlohmann::json metrics = line.is_object() ? line.value("metrics", nlohmann::json()) : line;
    if (!metrics.is_object()) return;
    for (const char* name : {"acc1", "ema_acc1"}) {
      const nlohmann::json value = metrics.value(name, nlohmann::json());
      if (value.is_number()) improve(name, value.get<double>());
    }
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
  // The best value of this metric so far, this one included.
  double improve(const std::string& name, double value) {
    const auto [found, is_first] = best_.try_emplace(name, value);
    return found->second = std::max(found->second, value);
  }

  void add(const std::string& prefix, const Group& group, Measurement* out) {
    const Accuracy a = measure_accuracy(workload_.model(), *set_, options_, {}, group);
    out->left_out = a.left_out;
    const std::string acc1 = prefix + "acc1";
    out->values.insert(out->values.end(), {{acc1, a.acc1()},
                                           {prefix + "acc5", a.acc5()},
                                           {"best_" + acc1, improve(acc1, a.acc1())},
                                           {prefix + "val_loss", a.loss()}});
    nlohmann::ordered_json& line = out->line["accuracy"][prefix.empty() ? "weights" : "average"];
    line = {
        {"images", a.images}, {"top1", a.top1}, {"top5", a.top5}, {"loss", a.loss()}, {"damaged", a.damaged}};
    if (a.classes.size() > kMaxListed) return;
    for (size_t c = 0; c < a.classes.size(); ++c) {
      line["classes"][set_->classes()[c]] = {a.classes[c].images, a.classes[c].right};
    }
  }

  const ClassifyWorkload& workload_;
  std::unique_ptr<ImageSet> set_;
  AccuracyOptions options_;
  std::map<std::string, double> best_;  // by metric
};

// As ranks exchange them.
std::vector<double> numbers_of(const Accuracy& a) {
  std::vector<double> out = {a.loss_sum};
  for (const int64_t n : {a.images, a.top1, a.top5, a.damaged}) out.push_back(static_cast<double>(n));
  for (const Accuracy::OfClass& c : a.classes) {
    out.insert(out.end(), {static_cast<double>(c.images), static_cast<double>(c.right)});
  }
  return out;
}

void add_numbers(const double* numbers, Accuracy* a) {
  a->loss_sum += *numbers++;
  for (int64_t* n : {&a->images, &a->top1, &a->top5, &a->damaged}) *n += std::llround(*numbers++);
  for (Accuracy::OfClass& c : a->classes) {
    c.images += std::llround(*numbers++);
    c.right += std::llround(*numbers++);
  }
}

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
                           .skip_option = options.skip_option,
                           .num_workers = options.workers});
  const auto measure = [&](int64_t step) {
    Accuracy out;
    out.classes.resize(set.classes().size());
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
      ++out.classes[labels[row]].images;
      out.classes[labels[row]].right += rank < 1;
      out.top1 += rank < 1;
      out.top5 += rank < std::min<int64_t>(kTop, logits.size(1));
      out.loss_sum += cross_entropy(own, labels[row]);
    }
    return out;
  };
  Accuracy out;
  out.classes.resize(set.classes().size());
  const auto width = static_cast<int64_t>(numbers_of(out).size());
  const Tensor steps = divided(group, loader.num_steps(), width, [&](int64_t step, double* numbers) {
    const std::vector<double> all = numbers_of(measure(step));
    std::copy(all.begin(), all.end(), numbers);
  });
  for (int64_t step = 0; step < steps.size(0); ++step) {
    add_numbers(steps.const_data_ptr<double>() + step * width, &out);
  }
  out.left_out = loader.damaged();
  if (out.images == 0) throw UserError(all_damaged(out.left_out));
  return out;
}

std::unique_ptr<Probe> accuracy_probe(const ClassifyWorkload& workload) {
  return std::make_unique<AccuracyProbe>(
      workload, open_measured_set(workload.config().pictures, *workload.set(), workload.train().eval_rows));
}

}  // namespace seednorm::lab
