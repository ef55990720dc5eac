// The messages of a run on the terminal: first a banner, then a status line that is overwritten.
#ifndef SEEDNORM_LAB_TRAIN_RUN_STATUS_H_
#define SEEDNORM_LAB_TRAIN_RUN_STATUS_H_

#include <string>

#include "lab/base/progress.h"
#include "lab/train/trainer.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

class RunStatus {
 public:
  // All arguments must outlive it. Measures the speed of matrix products, which takes a moment.
  RunStatus(const Workload& workload, const Trainer& trainer, const TrainConfig& config, int ranks);

  // Describes the model, its data, its memory, and the weight decay of its parameters.
  std::string banner() const;
  // Shows the step on stderr, if it is time for a new line. seconds_per_step is the mean so far.
  void show(const StepResult& step, double loss_ema, double seconds_per_step);

 private:
  // What computes, for the banner.
  std::string engine() const;

  const Workload& workload_;
  const Trainer& trainer_;
  const TrainConfig& config_;
  int ranks_;
  at::ScalarType activations_;
  double peak_flops_;  // of matrix products alone, per second, of all processes
  double flops_per_unit_;
  Progress progress_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_STATUS_H_
