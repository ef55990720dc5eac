// Checkpoints: a model directory with the optimizer's and the trainer's state beside it.
//
//   checkpoints/step-00000100/  config.json, model.safetensors, ...  a model directory like any other
//                               optimizer.safetensors               AdamW's tensors by parameter
//                               average.safetensors                 the weights' average, where there is one
//                               trainer.json                        the state below, the size and SHA-256 of
//                                                                   every file, and its own
#ifndef SEEDNORM_LAB_TRAIN_CHECKPOINT_H_
#define SEEDNORM_LAB_TRAIN_CHECKPOINT_H_

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lab/train/optimizer.h"
#include "lab/train/run_log.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

struct TrainerState {
  int64_t step = 0;              // steps taken
  std::string data_fingerprint;  // of the training data
  RunLog::Sizes log;             // when the checkpoint was made
  double loss_ema = 0;
  double seconds = 0;  // of training so far
};

// Writes RUN/checkpoints/step-N, complete or not at all, and then removes older ones: `keep` remain, torn
// ones not counted.
void save_checkpoint(const std::filesystem::path& run, const Workload& workload, const AdamW& optimizer,
                     const TrainerState& state, int64_t keep);

// Removes what killed processes left of checkpoints that they were writing. For who holds the run's lock.
void remove_torn_checkpoints(const std::filesystem::path& run);

struct FoundCheckpoint {
  std::optional<std::filesystem::path> path;  // the newest whole one, if there is one
  std::vector<std::string> damaged;  // a line for each newer one that was passed over: which file, why
};
FoundCheckpoint find_checkpoint(const std::filesystem::path& run);

// Errors (UserError): a checkpoint of another model.
TrainerState load_checkpoint(const std::filesystem::path& checkpoint, Workload& workload, AdamW& optimizer);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_CHECKPOINT_H_
