// The settings of training. Without libtorch, so that code that only reads and checks recipes does not need
// it.
#ifndef SEEDNORM_LAB_TRAIN_CONFIG_H_
#define SEEDNORM_LAB_TRAIN_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lab/train/setting.h"

namespace seednorm::lab {

enum class Precision {
  kFloat32,
  kBFloat16,  // activations and matrix products; weights, optimizer and norms' sums stay float32
};

enum class Method {
  kAdamW,
  kMuon,  // for the matrices of blocks, and AdamW for everything else
};
const char* name_of(Method method);  // "adamw", "muon"

struct TrainConfig {
  int64_t steps = 0;
  int64_t seed = 0;              // of the initial weights
  int64_t data_seed = 0;         // of the order of the data, so that every norm and seed has the same batches
  int64_t batch_size = 0;        // rows (sequences, images) per step
  int64_t micro_batch_size = 0;  // rows per pass; 0: the whole batch. Affects only memory and speed

  Method optimizer = Method::kAdamW;
  double lr = 0;
  double min_lr_ratio = 0.1;  // of lr, at the end of the cosine
  double warmup = 0;          // linear warm-up, in units (tokens, images)
  double beta1 = 0.9, beta2 = 0.95, adam_eps = 1e-8;
  double weight_decay = 0.1;
  bool decay_gain = false;  // gammas and slopes of norms, every bias
  bool decay_embedding = false;
  bool decay_dynamic = true;  // SeeDNorm's alpha and beta
  double grad_clip = 1.0;     // of the whole gradient's norm; 0: none

  Precision dtype = Precision::kFloat32;
  bool checkpointing = false;     // recompute activations in backward
  int64_t threads = 0;            // 0: as many as libtorch takes
  std::string device = "cpu";     // or "cuda", or "cuda:N"
  bool reproducible = true;       // gradients of micro-batches are added in an order that ranks do not change
  std::string products = "auto";  // which library computes matrix products; see ProductChoice

  int64_t eval_every = 0;        // steps; 0: only at the end
  int64_t eval_rows = 0;         // rows of each validation set; 0: all
  int64_t checkpoint_every = 0;  // steps; 0: only at the end
  int64_t keep_checkpoints = 2;
  int64_t log_every = 1;  // steps

  // Rows per pass: micro_batch_size, or a rank's part of the whole batch.
  int64_t micro_rows(int ranks = 1) const;
  // Errors (std::invalid_argument): sizes and rates with which nothing can be trained. `unit` is as in
  // train_settings.
  void check(const std::string& unit) const;
};

// The settings of the weights' average, for workloads that evaluate one.
struct AverageConfig {
  double decay = 0;    // 0: no average
  bool warmup = true;  // the decay increases with the steps; see WeightAverage::decay_at

  // Errors (std::invalid_argument): a decay with which the average would ignore the weights.
  void check() const;
};
Settings average_settings(AverageConfig& config);

// Every setting of `config`, bound to it. Units are named by `unit`, "token" or "image": warmup_tokens.
Settings train_settings(TrainConfig& config, const std::string& unit);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_CONFIG_H_
