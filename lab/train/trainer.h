// Training, step by step. The callers write files, status lines and checkpoints.
#ifndef SEEDNORM_LAB_TRAIN_TRAINER_H_
#define SEEDNORM_LAB_TRAIN_TRAINER_H_

#include <memory>
#include <optional>
#include <vector>

#include "lab/dist/gradient_exchange.h"
#include "lab/dist/sum_tree.h"
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
  bool stop = false;    // a process of the group was told to stop
  bool finite() const;  // of the loss and the gradient's norm
};

// A step that is taken, or queued on the device, whose numbers may not have been read from there yet.
struct QueuedStep {
  StepResult result;   // without the numbers that are on the device
  at::Tensor numbers;  // the parts of the loss of this rank's micro-batches, and the gradient's norm
  std::vector<std::string> names;  // of the parts
};

class Trainer {
 public:
  // workload and group must outlive it. Trains on the device of the workload's model. With `overfit` every
  // step trains on the first batch; a model that cannot learn it is broken.
  Trainer(Workload& workload, const TrainConfig& config, const Group& group = Group::alone(),
          bool overfit = false);
  ~Trainer();

  // Takes one step with all ranks of the group and returns its result, which is the same on each. If it is
  // not finite, the parameters do not change. `stop` says whether this process was told to stop.
  StepResult step(bool stop = false);
  // The same in two parts: queue() waits for the device only if the trainer does not run ahead, and read()
  // does. All ranks must read() after the same steps. The result of a step that was not finite is only known
  // after read(); the steps that were queued behind it do not count.
  QueuedStep queue(bool stop = false);
  StepResult read(const QueuedStep& queued);
  // Whether steps are queued without a look at the numbers of those before; so on other devices than the CPU.
  bool runs_ahead() const { return runs_ahead_; }
  void set_runs_ahead(bool ahead) { runs_ahead_ = ahead; }

  // Steps taken so far; set when a run is resumed.
  int64_t steps_done() const { return next_; }
  void set_steps_done(int64_t steps) { next_ = steps; }
  int64_t units_per_step() const { return config_.batch_size * workload_.units_per_row(); }
  // Rows of a micro-batch. It fixes the order of sums, and with it the bits of a run; set when a run is
  // resumed on another number of ranks.
  int64_t micro_rows() const { return micro_rows_; }
  void set_micro_rows(int64_t rows) { micro_rows_ = rows; }
  at::Device device() const { return device_; }
  Optimizer& optimizer() { return optimizer_; }
  const Optimizer& optimizer() const { return optimizer_; }

 private:
  class Hook;

  // Adds the gradients of these micro-batches in the order of sum_tree.h; the last addition is left to
  // finished().
  void accumulate(Terms terms, bool is_last);
  // Adds one micro-batch's gradients to the parameters' gradients, and its losses to values_.
  void backward(int64_t micro_batch, bool is_last);
  // Takes the gradient of a parameter, with what is set aside added.
  at::Tensor finished(size_t param);
  void begin_exchange();
  // The gradients of this rank's ranges, summed over all ranks.
  std::vector<at::Tensor> reduce();
  // Tells all ranks whether one was told to stop, and drops gradients of parameters that none has used.
  void agree(bool stop, StepResult* result, std::vector<at::Tensor>* gradients) const;
  int64_t num_micro_batches() const;

  Workload& workload_;
  const TrainConfig config_;
  const Group& group_;
  const bool overfit_;
  const at::Device device_;  // of the model
  Optimizer optimizer_;
  bool runs_ahead_;
  int64_t next_ = 0, micro_rows_;

  // Of the step in progress.
  std::vector<std::vector<at::Tensor>> aside_;  // sums that wait for the terms to their right
  std::vector<std::string> names_;              // of the parts of the loss
  std::vector<at::Tensor> values_;              // the parts of the loss of this rank's micro-batches
  std::vector<bool> put_;                       // parameters that the exchange has got
  std::optional<GradientExchange> exchange_;    // with several ranks
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_TRAINER_H_
