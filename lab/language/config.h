// The settings of the workload "language": a decoder, token shards, and measurements. Without libtorch.
#ifndef SEEDNORM_LAB_LANGUAGE_CONFIG_H_
#define SEEDNORM_LAB_LANGUAGE_CONFIG_H_

#include <memory>
#include <string>

#include "lab/language/models/config.h"
#include "lab/train/workload_config.h"

namespace seednorm::lab {

struct LanguageConfig : WorkloadConfig {
  ModelConfig model;

  double z_loss_multiplier =
      0;                      // weight of the z-loss of the head's logits, as OLMo-core calls it; OLMo2: 1e-5
  double balance_weight = 0;  // weight of the experts' load-balance loss
  double router_z_weight = 0;
  bool router_z_over_top_k = false;  // divides that weight by top_k, as OLMoE's code does

  std::string init_from;       // model directory whose weights training begins with; empty: random weights
  std::string train_data;      // folders of token shards, separated by commas
  std::string valid_data;      // folders, separated by commas; empty: none
  std::string sample_prompt;   // text to continue at each validation; empty: none
  int64_t sample_tokens = 64;  // at most
  std::string tasks;           // names, separated by commas, or "all"; empty: none
  std::string tasks_data;      // the folder of their files
  int64_t tasks_every = 0;     // steps; 0: only at the end
  int64_t tasks_limit = 0;     // documents of each; 0: all

  std::unique_ptr<WorkloadConfig> clone() const override { return std::make_unique<LanguageConfig>(*this); }
  std::string unit() const override { return "token"; }
  Settings settings() override;
  void check() const override;
  double estimated_params() const override { return model.estimated_params(); }
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_CONFIG_H_
