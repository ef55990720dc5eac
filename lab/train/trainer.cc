#include "lab/train/trainer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "lab/nn/loss.h"
#include "lab/train/schedule.h"

namespace seednorm::lab {

using at::Tensor;

bool StepResult::finite() const { return std::isfinite(loss) && std::isfinite(grad_norm); }

Trainer::Trainer(Model& model, const TrainConfig& config, SequenceSource sequences)
    : model_(model),
      config_(config),
      sequences_(std::move(sequences)),
      optimizer_(param_groups(model, config), config) {
  model_.set_dtype(config.dtype == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat);
  model_.set_checkpointing(config.checkpointing);
}

void Trainer::accumulate(const Tensor& sequences, double weight, StepResult* result) {
  const int64_t length = sequences.size(1) - 1;
  std::vector<AuxiliaryLoss> losses;
  const Tensor hidden = model_.hidden(sequences.narrow(1, 0, length), &losses);
  const Tensor targets = sequences.narrow(1, 1, length).flatten();
  const Tensor loss = linear_cross_entropy(hidden.flatten(0, 1), model_.head(), targets,
                                           weight / static_cast<double>(targets.numel()));
  result->loss += loss.item<double>();
  Tensor total = loss;
  const double share = weight / static_cast<double>(std::max<size_t>(losses.size(), 1));
  for (const AuxiliaryLoss& l : losses) {
    total = total + share * (config_.balance_weight * l.balance + config_.router_z_weight * l.router_z);
    result->balance += share * l.balance.item<double>();
    result->router_z += share * l.router_z.item<double>();
  }
  torch::autograd::backward({total});
}

StepResult Trainer::step() {
  const int64_t batch = config_.batch_size;
  const int64_t micro = config_.micro_batch_size > 0 ? std::min(config_.micro_batch_size, batch) : batch;
  StepResult result;
  result.step = next_;
  result.tokens = (next_ + 1) * batch * model_.config().context;
  result.lr = learning_rate(config_, next_, batch * model_.config().context);
  optimizer_.zero_grad();
  for (int64_t first = 0; first < batch; first += micro) {
    std::vector<Tensor> sequences;
    for (int64_t i = first; i < std::min(first + micro, batch); ++i)
      sequences.push_back(sequences_(next_, i));
    const double weight = static_cast<double>(sequences.size()) / static_cast<double>(batch);
    accumulate(at::stack(sequences), weight, &result);
  }
  result.grad_norm = optimizer_.clip();
  if (result.finite()) {
    optimizer_.step(result.lr);
    ++next_;
  }
  return result;
}

double Trainer::evaluate(const Tensor& sequences) {
  const at::NoGradGuard no_grad;
  const int64_t length = sequences.size(1) - 1;
  const int64_t micro = config_.micro_batch_size > 0 ? config_.micro_batch_size : config_.batch_size;
  double total = 0;
  for (int64_t first = 0; first < sequences.size(0); first += micro) {
    const Tensor part = sequences.narrow(0, first, std::min(micro, sequences.size(0) - first));
    const Tensor hidden = model_.hidden(part.narrow(1, 0, length));
    const Tensor targets = part.narrow(1, 1, length).flatten();
    total += linear_cross_entropy(hidden.flatten(0, 1), model_.head(), targets).item<double>();
  }
  return total / static_cast<double>(sequences.size(0) * length);
}

}  // namespace seednorm::lab
