// Training, step by step. The callers write files, status lines and checkpoints.
#ifndef SEEDNORM_LAB_TRAIN_TRAINER_H_
#define SEEDNORM_LAB_TRAIN_TRAINER_H_

#include "lab/train/config.h"
#include "lab/train/optimizer.h"
#include "lab/train/workload.h"

namespace seednorm::lab {

struct StepResult {
  int64_t step = 0;      // the number of this step, from 0
  int64_t units = 0;     // trained on so far, including this step
  double loss = 0;       // mean over the batch, without auxiliary losses
  Named<double> parts;   // the other parts of the workload's loss, means over the batch
  double grad_norm = 0;  // before clipping
  double lr = 0;
  bool finite() const;  // of the loss and the gradient's norm
};

class Trainer {
 public:
  // workload must outlive it. With `overfit` every step trains on the first batch; a model that cannot
  // learn it is broken.
  Trainer(Workload& workload, const TrainConfig& config, bool overfit = false);

  // Takes one step and returns its result. If the result is not finite, the parameters do not change.
  StepResult step();

  // Steps taken so far; set when a run is resumed.
  int64_t steps_done() const { return next_; }
  void set_steps_done(int64_t steps) { next_ = steps; }
  int64_t units_per_step() const { return config_.batch_size * workload_.units_per_row(); }
  AdamW& optimizer() { return optimizer_; }
  const AdamW& optimizer() const { return optimizer_; }

 private:
  // Adds the gradient of these rows' part of the loss to the parameters' gradients, and their part to
  // `result`.
  void accumulate(RowRange rows, StepResult* result);

  Workload& workload_;
  const TrainConfig config_;
  const bool overfit_;
  AdamW optimizer_;
  int64_t next_ = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_TRAINER_H_
