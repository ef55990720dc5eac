// What a run tells the user on the terminal: a banner at first, then a line that is written over.
#ifndef SEEDNORM_LAB_TRAIN_RUN_STATUS_H_
#define SEEDNORM_LAB_TRAIN_RUN_STATUS_H_

#include <string>

#include "lab/base/progress.h"
#include "lab/train/trainer.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

class RunStatus {
 public:
  // All must outlive it. Measures the speed of matrix products, which takes a moment.
  RunStatus(const Workload& workload, const Trainer& trainer, const TrainConfig& config);

  // The model, its data, what it needs, how the parameters are decayed.
  std::string banner() const;
  // The step on stderr, now and then. seconds_per_step: the mean so far.
  void show(const StepResult& step, double loss_ema, double seconds_per_step);

 private:
  const Workload& workload_;
  const Trainer& trainer_;
  const TrainConfig& config_;
  at::ScalarType products_;  // the dtype of matrix products
  double peak_flops_;        // of matrix products alone, per second
  double flops_per_unit_;
  Progress progress_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_STATUS_H_
