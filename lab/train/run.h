// One run of training in its own directory, with settings, metrics and checkpoints, which can be resumed.
#ifndef SEEDNORM_LAB_TRAIN_RUN_H_
#define SEEDNORM_LAB_TRAIN_RUN_H_

#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/report/run_summary.h"
#include "lab/train/config.h"
#include "lab/train/run_directory.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

struct RunSpec {
  std::filesystem::path dir;
  bool resume = false;   // continue from the newest checkpoint, or start if there is no run
  bool dry_run = false;  // build everything and take one step, but write nothing
  bool overfit = false;  // train on the first batch in every step; a model that cannot learn it is broken
  TrainConfig train;
  std::function<std::unique_ptr<Workload>()> workload;  // opens the data and builds the model
  RunSettings settings;
};

struct RunResult {
  RunInfo info;  // its metrics: those of the probes, and the smoothed training loss
  int64_t steps = 0, units = 0;
  double seconds = 0;      // of training, over all calls
  double units_per_s = 0;  // over the steps of this call
  bool diverged = false;
  bool interrupted = false;  // by a signal, after saving; the run can be resumed
  Named<double> values;      // of the metrics that were measured, at the end
  nlohmann::ordered_json measured =
      nlohmann::ordered_json::object();  // the probes' members of metrics.jsonl, at the end

  // NaN if it was not measured.
  double value(const std::string& metric) const;
};

// Writes status lines to stderr. Errors (UserError): see RunDirectory and the workload; data other than
// the checkpoint's.
RunResult train_run(const RunSpec& spec);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_H_
