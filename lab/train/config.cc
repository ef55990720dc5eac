#include "lab/train/config.h"

#include <stdexcept>

namespace seednorm::lab {
namespace {

// Written so that NaN does not hold.
void require(bool holds, const char* setting, const char* expected) {
  if (!holds) throw std::invalid_argument(std::string(setting) + ": expected " + expected);
}

}  // namespace

void TrainConfig::check() const {
  require(steps >= 1, "steps", "1 or more");
  require(batch_size >= 1, "batch_size", "1 or more");
  require(micro_batch_size >= 0, "micro_batch_size", "1 or more, or 0 for the whole batch");
  require(lr > 0, "lr", "more than 0");
  require(min_lr_ratio >= 0 && min_lr_ratio <= 1, "min_lr_ratio", "a number from 0 to 1");
  require(warmup_tokens >= 0, "warmup_tokens", "0 or more");
  require(beta1 >= 0 && beta1 < 1, "beta1", "a number from 0 to below 1");
  require(beta2 >= 0 && beta2 < 1, "beta2", "a number from 0 to below 1");
  require(adam_eps > 0, "adam_eps", "more than 0");
  require(weight_decay >= 0, "weight_decay", "0 or more");
  require(grad_clip >= 0, "grad_clip", "more than 0, or 0 for none");
  require(balance_weight >= 0, "balance_weight", "0 or more");
  require(router_z_weight >= 0, "router_z_weight", "0 or more");
  require(threads >= 0, "threads", "1 or more, or 0 for libtorch's choice");
  require(eval_every >= 0 && eval_batches >= 0, "eval_every, eval_batches", "0 or more");
  require(sample_tokens >= 1, "sample_tokens", "1 or more");
  require(tasks.empty() == tasks_data.empty(), "tasks, tasks_data", "both, or none of them");
  require(tasks_every >= 0 && tasks_limit >= 0, "tasks_every, tasks_limit", "0 or more");
  require(checkpoint_every >= 0, "checkpoint_every", "0 or more");
  require(keep_checkpoints >= 1, "keep_checkpoints", "1 or more");
  require(log_every >= 1, "log_every", "1 or more");
}

}  // namespace seednorm::lab
