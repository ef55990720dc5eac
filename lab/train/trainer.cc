#include "lab/train/trainer.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lab/nn/device.h"
#include "lab/train/schedule.h"
#include "lab/train/weight_average.h"

namespace seednorm::lab {

using at::Tensor;

bool StepResult::finite() const { return std::isfinite(loss) && std::isfinite(grad_norm); }

// Called as soon as backward has added a parameter's gradient. Hands it to the exchange if one is in
// progress.
class Trainer::Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(Trainer& trainer, size_t param) : trainer_(trainer), param_(param) {}
  void operator()(const Tensor&) override {
    if (!trainer_.exchange_) return;
    trainer_.put_[param_] = true;
    trainer_.exchange_->put(param_, trainer_.finished(param_));
  }

 private:
  Trainer& trainer_;
  size_t param_;
};

Trainer::Trainer(Workload& workload, const TrainConfig& config, const Group& group, bool overfit)
    : workload_(workload),
      config_(config),
      group_(group),
      overfit_(overfit),
      device_(model_device(workload.module())),
      optimizer_(param_groups(workload.params(), config), config, group.rank(), group.size()),
      runs_ahead_(!device_.is_cpu()),
      micro_rows_(config.micro_rows(group.size())) {
  if (group.size() == 1) return;
  for (size_t i = 0; i < optimizer_.params().size(); ++i) {
    torch::autograd::impl::set_post_acc_grad_hooks(optimizer_.params()[i], std::make_unique<Hook>(*this, i));
  }
}

Trainer::~Trainer() {
  if (group_.size() == 1) return;
  for (const Tensor& p : optimizer_.params()) torch::autograd::impl::set_post_acc_grad_hooks(p, nullptr);
}

int64_t Trainer::num_micro_batches() const { return (config_.batch_size + micro_rows_ - 1) / micro_rows_; }

void Trainer::backward(int64_t micro_batch, bool is_last) {
  const int64_t first = micro_batch * micro_rows_;
  const RowRange rows = {.first = first, .count = std::min(micro_rows_, config_.batch_size - first)};
  const double share = static_cast<double>(rows.count) / static_cast<double>(config_.batch_size);
  Batch batch = workload_.batch(overfit_ ? 0 : next_, rows);
  if (device_.is_cuda()) {
    // The copy goes on while the device still computes what came before.
    for (Tensor& t : batch.tensors) t = t.pin_memory();
  }
  const Loss loss = workload_.loss(batch.moved_to(device_, /*non_blocking=*/true), share);
  names_.resize(loss.parts.size());
  for (size_t i = 0; i < loss.parts.size(); ++i) {
    names_[i] = loss.parts[i].first;
    values_.push_back(loss.parts[i].second.detach().to(at::kDouble));
  }
  if (is_last) begin_exchange();
  torch::autograd::backward({loss.total});
}

void Trainer::begin_exchange() {
  if (group_.size() == 1) return;
  std::vector<bool> contributes(group_.size());
  for (int r = 0; r < group_.size(); ++r) {
    contributes[r] = terms_of(num_micro_batches(), r, group_.size()).count > 0;
  }
  exchange_.emplace(group_, optimizer_.shards(), contributes, optimizer_.params()[0].options());
}

void Trainer::accumulate(Terms terms, bool is_last) {
  if (terms.count == 0) return;
  if (!config_.reproducible) {  // backward itself adds
    for (int64_t i = 0; i < terms.count; ++i) backward(terms.first + i, is_last && i + 1 == terms.count);
    return;
  }
  if (terms.count == 1) return backward(terms.first, is_last);
  const int64_t left = left_part(terms.count);
  accumulate({terms.first, left}, /*is_last=*/false);
  const Terms right = {terms.first + left, terms.count - left};
  // Backward itself adds a single term to what is there already.
  if (right.count == 1) return backward(right.first, is_last);
  aside_.emplace_back();
  for (Tensor p : optimizer_.params()) {
    aside_.back().push_back(p.grad());
    p.mutable_grad().reset();
  }
  accumulate(right, is_last);
  if (is_last) return;  // finished() adds what is aside
  const at::NoGradGuard no_grad;
  const std::vector<Tensor> sums = std::move(aside_.back());
  aside_.pop_back();
  for (size_t i = 0; i < sums.size(); ++i) {
    Tensor p = optimizer_.params()[i];
    if (sums[i].defined()) p.mutable_grad() = p.grad().defined() ? sums[i].add_(p.grad()) : sums[i];
  }
}

Tensor Trainer::finished(size_t param) {
  const at::NoGradGuard no_grad;
  Tensor& own = optimizer_.params()[param].mutable_grad();
  Tensor sum = std::move(own);
  own.reset();
  for (size_t i = aside_.size(); i-- > 0;) {
    Tensor& left = aside_[i][param];
    if (left.defined()) sum = sum.defined() ? left.add_(sum) : left;
  }
  return sum;
}

std::vector<Tensor> Trainer::reduce() {
  const size_t count = optimizer_.params().size();
  std::vector<Tensor> out;
  if (group_.size() == 1) {
    for (size_t i = 0; i < count; ++i) out.push_back(finished(i));
    return out;
  }
  for (size_t i = 0; i < count; ++i) {
    if (!put_[i]) exchange_->put(i, Tensor());
  }
  out = exchange_->finish();
  exchange_.reset();
  return out;
}

void Trainer::agree(bool stop, StepResult* result, std::vector<Tensor>* gradients) const {
  result->stop = stop;
  if (group_.size() == 1) return;
  const auto params = static_cast<int64_t>(put_.size());
  Tensor mine = at::zeros({params + 1}, at::kByte);
  auto* marks = mine.data_ptr<uint8_t>();
  for (size_t i = 0; i < put_.size(); ++i) marks[i] = put_[i];
  marks[params] = stop;
  const Tensor any = std::get<0>(group_.gather(mine).max(0));
  for (int64_t i = 0; i < params; ++i) {
    if (any.const_data_ptr<uint8_t>()[i] == 0) (*gradients)[i].reset();
  }
  result->stop = any.const_data_ptr<uint8_t>()[params] != 0;
}

StepResult Trainer::read(const QueuedStep& queued) {
  using Json = nlohmann::json;
  if (!queued.numbers.defined()) return queued.result;  // queue() has read them
  StepResult result = queued.result;
  const Tensor host = queued.numbers.cpu();  // waits for the device
  const auto* numbers = host.const_data_ptr<double>();
  const int64_t count = host.numel() - 1;
  result.grad_norm = numbers[count];
  const std::vector<uint8_t> mine =
      Json::to_cbor({{"names", queued.names}, {"values", std::vector<double>(numbers, numbers + count)}});
  for (const std::string& text : group_.gather(std::string(mine.begin(), mine.end()))) {
    const Json rank = Json::from_cbor(text);
    const auto values = rank["values"].get<std::vector<double>>();
    const auto names = rank["names"].get<std::vector<std::string>>();
    if (!names.empty()) result.parts.resize(names.size() - 1);
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t part = i % names.size();
      if (part == 0) {
        result.loss += values[i];
      } else {
        result.parts[part - 1].first = names[part];
        result.parts[part - 1].second += values[i];
      }
    }
  }
  if (!result.finite()) next_ = result.step;
  return result;
}

QueuedStep Trainer::queue(bool stop) {
  QueuedStep out;
  out.result.step = next_;
  out.result.units = (next_ + 1) * units_per_step();
  out.result.lr = learning_rate(config_, next_, units_per_step());
  aside_.clear();
  names_.clear();
  values_.clear();
  put_.assign(optimizer_.params().size(), false);
  for (Tensor p : optimizer_.params()) p.mutable_grad().reset();
  const Terms mine = terms_of(num_micro_batches(), group_.rank(), group_.size());
  if (mine.count == 0) begin_exchange();
  accumulate(mine, /*is_last=*/true);
  std::vector<Tensor> gradients = reduce();
  agree(stop, &out.result, &gradients);
  const Tensor norm = optimizer_.clip(gradients, group_);
  values_.push_back(norm);
  out.numbers = at::stack(values_);
  out.names = names_;
  ++next_;
  // A trainer that runs ahead queues the optimizer's step before the host knows whether the gradient is
  // finite; that step then changes nothing if it is not.
  if (!runs_ahead_) {
    out.result = read(out);
    out.numbers.reset();
    if (!out.result.finite()) return out;
  }
  optimizer_.step(out.result.lr, gradients, runs_ahead_ ? norm : Tensor());
  if (group_.size() > 1) share_params(group_, optimizer_.shards(), optimizer_.params());
  if (WeightAverage* average = workload_.weight_average()) average->update(out.result.step);
  return out;
}

StepResult Trainer::step(bool stop) { return read(queue(stop)); }

}  // namespace seednorm::lab
