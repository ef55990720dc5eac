// One run of training in its own directory, with settings, metrics and checkpoints, which can be resumed.
#ifndef SEEDNORM_LAB_TRAIN_RUN_H_
#define SEEDNORM_LAB_TRAIN_RUN_H_

#include <filesystem>
#include <functional>
#include <memory>

#include "lab/dist/group.h"
#include "lab/report/run_summary.h"
#include "lab/train/config.h"
#include "lab/train/run_directory.h"
#include "lab/train/run_result.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

struct RunSpec {
  std::filesystem::path dir;
  bool resume = false;   // continue from the newest checkpoint, or start if there is no run
  bool dry_run = false;  // build everything and take one step, but write nothing
  // Reads the numbers of steps only when something is due after one, as on other devices than the CPU.
  bool run_ahead = false;
  bool overfit = false;  // train on the first batch in every step; a model that cannot learn it is broken
  TrainConfig train;
  std::function<std::unique_ptr<Workload>()> workload;  // opens the data and builds the model
  RunSettings settings;
  std::shared_ptr<const Group> group = std::make_shared<Group>();  // the processes that train together
};

// Trains with all processes of the group, of which rank 0 writes the folder and status lines to stderr; the
// others write their parts of checkpoints into it. Errors (UserError): see RunDirectory and the workload;
// data other than the checkpoint's; ranks with other settings, data or versions. An error on one rank is one
// on all.
RunResult train_run(const RunSpec& spec);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_H_
