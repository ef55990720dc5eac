#include "lab/train/config.h"

#include <algorithm>
#include <stdexcept>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

// More than any machine has, and small enough that products of two fit in 64 bits.
constexpr int64_t kMaxThreads = 4096, kMaxRows = int64_t{1} << 30, kMaxSteps = int64_t{1} << 40;

// NaN fails every check.
void require(bool holds, const std::string& setting, const char* expected) {
  if (!holds) throw std::invalid_argument(setting + ": expected " + expected);
}

void parse_precision(std::string_view value, Precision& out) {
  if (value != "float32" && value != "bfloat16") {
    throw UserError("expected float32 or bfloat16, got " + quote(value));
  }
  out = value == "float32" ? Precision::kFloat32 : Precision::kBFloat16;
}

void parse_method(std::string_view value, Method& out) {
  for (const Method method : {Method::kAdamW, Method::kMuon}) {
    if (value == name_of(method)) {
      out = method;
      return;
    }
  }
  throw UserError("expected adamw or muon, got " + quote(value));
}

void parse_device(std::string_view value, std::string& out) {
  const std::string_view number = value.starts_with("cuda:") ? value.substr(5) : "0";
  const bool counts = !number.empty() && number.size() < 4 &&
                      number.find_first_not_of("0123456789") == std::string_view::npos;
  if (!counts || (value != "cpu" && value != "cuda" && !value.starts_with("cuda:"))) {
    throw UserError("expected cpu, cuda or cuda:N, got " + quote(value));
  }
  out = value;
}

}  // namespace

const char* name_of(Method method) { return method == Method::kMuon ? "muon" : "adamw"; }

int64_t TrainConfig::micro_rows(int ranks) const {
  return micro_batch_size > 0 ? std::min(micro_batch_size, batch_size) : (batch_size + ranks - 1) / ranks;
}

void TrainConfig::check(const std::string& unit) const {
  require(steps >= 1 && steps <= kMaxSteps, "steps", "1 to 2^40");
  require(batch_size >= 1 && batch_size <= kMaxRows, "batch_size", "1 to 2^30");
  require(micro_batch_size >= 0 && micro_batch_size <= kMaxRows, "micro_batch_size",
          "1 to 2^30, or 0 for the whole batch");
  require(lr > 0 && lr <= 1e30, "lr", "more than 0, at most 1e30");
  require(min_lr_ratio >= 0 && min_lr_ratio <= 1, "min_lr_ratio", "a number from 0 to 1");
  require(warmup >= 0 && warmup <= 1e18, "warmup_" + unit + "s", "0 to 1e18");
  require(beta1 >= 0 && beta1 < 1, "beta1", "a number from 0 to below 1");
  require(beta2 >= 0 && beta2 < 1, "beta2", "a number from 0 to below 1");
  require(adam_eps > 0 && adam_eps <= 1, "adam_eps", "more than 0, at most 1");
  require(weight_decay >= 0 && weight_decay <= 1e6, "weight_decay", "0 to 1e6");
  require(grad_clip >= 0 && grad_clip <= 1e30, "grad_clip", "more than 0, or 0 for none");
  require(threads >= 0 && threads <= kMaxThreads, "threads", "1 to 4096, or 0 for libtorch's choice");
  require(eval_every >= 0, "eval_every", "0 or more");
  require(eval_rows >= 0 && eval_rows <= kMaxRows, "eval_rows", "1 to 2^30, or 0 for all of each set");
  require(checkpoint_every >= 0, "checkpoint_every", "0 or more");
  require(keep_checkpoints >= 1, "keep_checkpoints", "1 or more");
  require(log_every >= 1, "log_every", "1 or more");
}

void AverageConfig::check() const {
  require(decay >= 0 && decay < 1, "ema_decay", "a number from 0 (no average) to below 1");
}

Settings average_settings(AverageConfig& c) {
  return {
      {"ema_decay", "decay of the average of the weights, a step; 0: no average", c.decay},
      {"ema_warmup", "the decay is at most 1 - (1 + step)^(-2/3), so that short runs forget their beginning",
       c.warmup}};
}

Settings train_settings(TrainConfig& c, const std::string& unit) {
  return {
      {"steps", "optimizer steps", c.steps},
      {"seed", "seed of the initial weights", c.seed, Scope::kSeed},
      {"data_seed", "seed of the order of the data", c.data_seed, Scope::kSeed},
      {"batch_size", "rows (sequences, images) per step", c.batch_size},
      {"micro_batch_size", "rows per pass, to save memory; 0: the whole batch", c.micro_batch_size},
      {"optimizer", "adamw, or muon: Muon for the matrices of blocks and AdamW for everything else",
       [&c](std::string_view value) { parse_method(value, c.optimizer); },
       [&c] { return std::string(name_of(c.optimizer)); }},
      {"lr", "peak learning rate", c.lr},
      {"min_lr_ratio", "final learning rate, as a fraction of the peak", c.min_lr_ratio},
      {"warmup_" + unit + "s", unit + "s of linear warm-up", c.warmup},
      {"beta1", "AdamW's first decay rate", c.beta1},
      {"beta2", "AdamW's second decay rate", c.beta2},
      {"adam_eps", "AdamW's eps", c.adam_eps},
      {"weight_decay", "weight decay of matrices and of SeeDNorm's alpha and beta", c.weight_decay},
      {"decay_gain", "decay norms' gains and every bias too", c.decay_gain},
      {"decay_embedding", "decay the embedding too", c.decay_embedding},
      {"decay_dynamic", "decay SeeDNorm's alpha and beta", c.decay_dynamic},
      {"grad_clip", "maximum norm of the gradient; 0: no limit", c.grad_clip},
      {"dtype", "dtype of activations and matrix products: float32 or bfloat16",
       [&c](std::string_view value) { parse_precision(value, c.dtype); },
       [&c] { return std::string(c.dtype == Precision::kFloat32 ? "float32" : "bfloat16"); }},
      {"checkpointing", "recompute activations in backward, to save memory", c.checkpointing},
      {"threads", "number of threads; 0: libtorch's choice", c.threads, Scope::kMachine},
      {"device", "device that trains: cpu, cuda or cuda:N",
       [&c](std::string_view value) { parse_device(value, c.device); }, [&c] { return c.device; },
       Scope::kMachine},
      {"reproducible",
       "add the gradients of micro-batches as a tree, so that any power of two of processes gives the same "
       "bits; false saves memory",
       c.reproducible},
      {"products",
       "libraries for matrix products, as in float32=mkl,bfloat16=widened; auto: the fastest here, as "
       "measured",
       c.products, Scope::kMachine},
      {"eval_every", "steps between validations; 0: only at the end", c.eval_every},
      {"eval_rows", "rows (sequences, images) of each validation set; 0: all", c.eval_rows,
       Scope::kMeasurement},
      {"checkpoint_every", "steps between checkpoints; 0: only at the end", c.checkpoint_every},
      {"keep_checkpoints", "number of newest checkpoints to keep", c.keep_checkpoints},
      {"log_every", "steps between lines of metrics.jsonl", c.log_every},
  };
}

}  // namespace seednorm::lab
