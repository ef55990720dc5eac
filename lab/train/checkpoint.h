// Checkpoints: model directories with the state of the optimizer and the trainer beside the model.
//
//   checkpoints/step-00000100/  config.json, model.safetensors, ...  a model directory like any other
//                               optimizer.safetensors               the optimizer's tensors by parameter, or
//                               optimizer-R-of-N.safetensors        each rank's ranges of them, flat
//                               average.safetensors                 the weights' average, if the run has one
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
  double seconds = 0;      // of training so far
  std::string products;    // the libraries that computed matrix products, which the bits depend on
  int64_t micro_rows = 0;  // of a micro-batch, which the bits depend on; 0: as the settings say
};

// Writes RUN/checkpoints/step-N, either completely or not at all, and then removes older checkpoints until
// `keep` are left, not counting damaged ones. All ranks of the group call it; the model and the state are
// rank 0's.
void save_checkpoint(const std::filesystem::path& run, const Workload& workload, const Optimizer& optimizer,
                     const TrainerState& state, int64_t keep, const Group& group = Group::alone());

// Removes incomplete checkpoints of killed processes. The caller must hold the run's lock.
void remove_torn_checkpoints(const std::filesystem::path& run);

struct FoundCheckpoint {
  std::optional<std::filesystem::path> path;  // the newest intact checkpoint, if any
  std::vector<std::string>
      damaged;  // one line for each newer checkpoint that was skipped: the file and the reason
};
FoundCheckpoint find_checkpoint(const std::filesystem::path& run);

// The checkpoint may have been written by any number of ranks. Errors (UserError): a checkpoint of another
// model.
TrainerState load_checkpoint(const std::filesystem::path& checkpoint, Workload& workload,
                             Optimizer& optimizer);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_CHECKPOINT_H_
