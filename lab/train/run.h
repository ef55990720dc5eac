// A run of training in a directory of its own.
//
//   RUN/config.toml         every setting, as `seednorm train` reads it
//   RUN/metrics.jsonl       a line for each logged step and each validation; `seconds` is the time trained
//   RUN/events.out.tfevents.seednorm   the same for TensorBoard
//   RUN/checkpoints/        see checkpoint.h
#ifndef SEEDNORM_LAB_TRAIN_RUN_H_
#define SEEDNORM_LAB_TRAIN_RUN_H_

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "lab/language/models/config.h"
#include "lab/train/config.h"

namespace seednorm::lab {

struct RunSpec {
  std::filesystem::path dir;
  bool resume = false;   // go on from the newest checkpoint, or begin if there is none
  bool dry_run = false;  // build everything, take one step, write nothing
  bool overfit = false;  // train on the first batch again and again: a model that cannot is broken
  ModelConfig model;
  TrainConfig train;
  std::string config_text;  // for config.toml
};

struct RunResult {
  int64_t steps = 0, tokens = 0;
  double train_loss = 0;                     // smoothed, at the end
  std::map<std::string, double> valid_loss;  // by the name of the set's folder, at the end
  double seconds = 0;                        // of training, over all calls
  double tokens_per_s = 0;                   // over all steps of this call
  bool diverged = false;
  bool interrupted = false;  // by SIGINT or SIGTERM: saved, to be resumed
};

// The paper smooths its curves so.
inline constexpr double kLossEma = 0.99;

// Writes status lines to stderr. Errors (UserError): the directory is taken and resume is not set, holds a
// run with other settings, or data that are missing, torn or made with another tokenizer than the
// checkpoint's.
RunResult train_run(const RunSpec& spec);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_H_
