// Checkpoints: a model directory with the optimizer's and the trainer's state beside it.
//
//   checkpoints/step-00000100/  config.json, model.safetensors,
//                               tokenizer.json if known           a model directory like any other
//                               optimizer.safetensors            AdamW's tensors by parameter
//                               trainer.json                     the state below, every file's size and
//                                                                SHA-256, and its own
#ifndef SEEDNORM_LAB_TRAIN_CHECKPOINT_H_
#define SEEDNORM_LAB_TRAIN_CHECKPOINT_H_

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lab/language/models/model.h"
#include "lab/train/optimizer.h"
#include "lab/train/run_log.h"

namespace seednorm::lab {

struct TrainerState {
  int64_t step = 0;              // steps taken
  std::string data_fingerprint;  // of the training data
  RunLog::Sizes log;             // when the checkpoint was made
  double loss_ema = 0;
  double seconds = 0;  // of training so far
};

// What the training data were made with.
struct TokenizerInfo {
  std::filesystem::path file;     // a tokenizer.json; empty: not known
  std::optional<int32_t> eos_id;  // ends each document
};

// Writes RUN/checkpoints/step-N, complete or not at all, and then removes all but the `keep` newest.
void save_checkpoint(const std::filesystem::path& run, const Model& model, const AdamW& optimizer,
                     const TrainerState& state, const TokenizerInfo& tokenizer, int64_t keep);

struct FoundCheckpoint {
  std::optional<std::filesystem::path> path;  // the newest whole one; none if there is none
  std::vector<std::string> damaged;  // a line for each newer one that was passed over: which file, why
};
FoundCheckpoint find_checkpoint(const std::filesystem::path& run);

// Errors (UserError): a checkpoint of another model.
TrainerState load_checkpoint(const std::filesystem::path& checkpoint, Model& model, AdamW& optimizer);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_CHECKPOINT_H_
