// How a model is trained. Without libtorch, so that recipes can be read and checked alone.
#ifndef SEEDNORM_LAB_TRAIN_CONFIG_H_
#define SEEDNORM_LAB_TRAIN_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

namespace seednorm::lab {

enum class Precision {
  kFloat32,
  kBFloat16,  // activations and matrix products; weights, optimizer and norms' sums stay float32
};

struct TrainConfig {
  int64_t steps = 0;
  int64_t seed = 0;              // of the initial weights
  int64_t data_seed = 0;         // of the order of the data: the same batches for every norm and seed
  int64_t batch_size = 0;        // sequences a step
  int64_t micro_batch_size = 0;  // sequences a pass; 0: the whole batch

  double lr = 0;
  double min_lr_ratio = 0.1;  // of lr, at the end of the cosine
  double warmup_tokens = 0;   // linear warm-up
  double beta1 = 0.9, beta2 = 0.95, adam_eps = 1e-8;
  double weight_decay = 0.1;
  bool decay_gain = false;  // gammas, biases and slopes of norms; SeeDNorm's alpha and beta always are
  bool decay_embedding = false;
  double grad_clip = 1.0;     // of the whole gradient's norm; 0: none
  double balance_weight = 0;  // of the load-balance loss of experts
  double router_z_weight = 0;

  Precision dtype = Precision::kFloat32;
  bool checkpointing = false;  // activations are made again in backward
  int64_t threads = 0;         // 0: as many as libtorch takes

  std::string train_data;        // folder of token shards
  std::string valid_data;        // folders, separated by commas; empty: none
  int64_t eval_every = 0;        // steps; 0: only at the end
  int64_t eval_batches = 0;      // of micro_batch_size; 0: all there is
  std::string sample_prompt;     // continued at each validation; empty: not
  int64_t sample_tokens = 64;    // at most
  std::string tasks;             // names, separated by commas, or "all"; empty: none
  std::string tasks_data;        // the folder of their files
  int64_t tasks_every = 0;       // steps; 0: only at the end
  int64_t tasks_limit = 0;       // documents of each; 0: all
  int64_t checkpoint_every = 0;  // steps; 0: only at the end
  int64_t keep_checkpoints = 2;
  int64_t log_every = 1;  // steps

  // Errors (std::invalid_argument): sizes and rates that nothing can be trained with.
  void check() const;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_CONFIG_H_
