// One run of training, step by step. Files, status lines and checkpoints are their callers' work.
#ifndef SEEDNORM_LAB_TRAIN_TRAINER_H_
#define SEEDNORM_LAB_TRAIN_TRAINER_H_

#include <functional>

#include "lab/language/models/model.h"
#include "lab/train/config.h"
#include "lab/train/optimizer.h"

namespace seednorm::lab {

// Sequence `index` of those that step `step` trains on: context + 1 tokens, int64. A function of its
// arguments alone.
using SequenceSource = std::function<at::Tensor(int64_t step, int64_t index)>;

struct StepResult {
  int64_t step = 0;    // of this step, from 0
  int64_t tokens = 0;  // trained on so far, this step included
  double loss = 0;     // mean cross entropy of the batch, nats a token; without auxiliary losses
  double balance = 0, router_z = 0;  // means over layers, unweighted
  double grad_norm = 0;              // before clipping
  double lr = 0;
  bool finite() const;  // of the loss and the gradient's norm
};

class Trainer {
 public:
  // model must outlive it.
  Trainer(Model& model, const TrainConfig& config, SequenceSource sequences);

  // Takes one step and returns what it was like. When it was not finite the parameters are left as they were.
  StepResult step();

  // Mean cross entropy of `sequences` [N, context + 1] in nats a token.
  double evaluate(const at::Tensor& sequences);

  // Steps taken so far; set when a run is resumed.
  int64_t steps_done() const { return next_; }
  void set_steps_done(int64_t steps) { next_ = steps; }
  AdamW& optimizer() { return optimizer_; }

 private:
  // Adds the gradient of `weight` times the loss of the sequences to the parameters'; adds to `result`.
  void accumulate(const at::Tensor& sequences, double weight, StepResult* result);

  Model& model_;
  const TrainConfig config_;
  const SequenceSource sequences_;
  AdamW optimizer_;
  int64_t next_ = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_TRAINER_H_
