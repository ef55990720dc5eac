#include "lab/train/trainer.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "lab/train/schedule.h"
#include "lab/train/weight_average.h"

namespace seednorm::lab {

bool StepResult::finite() const { return std::isfinite(loss) && std::isfinite(grad_norm); }

Trainer::Trainer(Workload& workload, const TrainConfig& config, bool overfit)
    : workload_(workload),
      config_(config),
      overfit_(overfit),
      optimizer_(param_groups(workload.params(), config), config) {}

void Trainer::accumulate(RowRange rows, StepResult* result) {
  const double share = static_cast<double>(rows.count) / static_cast<double>(config_.batch_size);
  const Loss loss = workload_.loss(workload_.batch(overfit_ ? 0 : next_, rows), share);
  result->loss += loss.parts[0].second.item<double>();
  result->parts.resize(loss.parts.size() - 1);
  for (size_t i = 1; i < loss.parts.size(); ++i) {
    result->parts[i - 1].first = loss.parts[i].first;
    result->parts[i - 1].second += loss.parts[i].second.item<double>();
  }
  torch::autograd::backward({loss.total});
}

StepResult Trainer::step() {
  const int64_t batch = config_.batch_size, micro = config_.micro_rows();
  StepResult result;
  result.step = next_;
  result.units = (next_ + 1) * units_per_step();
  result.lr = learning_rate(config_, next_, units_per_step());
  optimizer_.zero_grad();
  for (int64_t first = 0; first < batch; first += micro) {
    accumulate({.first = first, .count = std::min(micro, batch - first)}, &result);
  }
  result.grad_norm = optimizer_.clip();
  if (result.finite()) {
    optimizer_.step(result.lr);
    if (WeightAverage* average = workload_.weight_average()) average->update(next_);
    ++next_;
  }
  return result;
}

}  // namespace seednorm::lab
