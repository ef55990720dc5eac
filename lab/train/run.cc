#include "lab/train/run.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/base/smoothing.h"
#include "lab/base/stopwatch.h"
#include "lab/train/checkpoint.h"
#include "lab/train/run_log.h"
#include "lab/train/run_status.h"
#include "lab/train/threads.h"
#include "lab/train/trainer.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

RunInfo info_of(const Workload& workload, const std::vector<std::unique_ptr<Probe>>& probes) {
  RunInfo out = {.workload = workload.name(), .unit = workload.unit(), .metrics = {}};
  for (const auto& probe : probes) {
    for (MetricInfo& m : probe->metrics()) out.metrics.push_back(std::move(m));
  }
  out.metrics.push_back(
      {.name = kTrainLoss, .title = "Training loss (smoothed)", .unit = workload.loss_unit()});
  return out;
}

class Run {
 public:
  explicit Run(const RunSpec& spec);
  RunResult go();

 private:
  void resume_from(const fs::path& checkpoint);
  // Takes a step and logs it. Returns whether training can continue.
  bool step(bool is_last);
  // Does what is due after the finished steps, and everything at the end. Returns false if the user
  // interrupted it.
  bool measure(bool at_end);
  void save();
  void log(const Json& line);
  Json line_of(int64_t step, int64_t units) const;

  const RunSpec& spec_;
  std::unique_ptr<Workload> workload_;
  std::vector<std::unique_ptr<Probe>> probes_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<RunDirectory> directory_;  // null in a dry run
  std::unique_ptr<RunLog> log_;              // null in a dry run
  RunLog::Sizes log_of_steps_;  // up to the line of the last step, without what was measured after it
  std::unique_ptr<RunStatus> status_;
  RunResult result_;
  double loss_ema_ = std::numeric_limits<double>::quiet_NaN();
  double seconds_ = 0;       // of training, over all calls
  double seconds_here_ = 0;  // of training, in this call
  int64_t first_ = 0;        // steps done before this call
};

Run::Run(const RunSpec& spec) : spec_(spec) {
  set_training_threads(spec.train.threads);
  workload_ = spec.workload();
  spec.train.check(workload_->unit());
  probes_ = workload_->probes();
  trainer_ = std::make_unique<Trainer>(*workload_, spec.train, spec.overfit);
  result_.info = info_of(*workload_, probes_);
  status_ = std::make_unique<RunStatus>(*workload_, *trainer_, spec.train);
  if (spec.dry_run) return;
  directory_ = std::make_unique<RunDirectory>(spec.dir, spec.settings, spec.resume);
  for (const std::string& note : directory_->notes()) std::fprintf(stderr, "%s\n", note.c_str());
  if (directory_->checkpoint()) resume_from(*directory_->checkpoint());
  directory_->describe(result_.info);
  log_ = std::make_unique<RunLog>(spec.dir, log_of_steps_, result_.info.unit);
}

void Run::resume_from(const fs::path& checkpoint) {
  const TrainerState state = load_checkpoint(checkpoint, *workload_, trainer_->optimizer());
  if (state.data_fingerprint != workload_->fingerprint()) {
    throw UserError(spec_.dir.string() + ": the data differ from those that " + checkpoint.string() +
                    " was trained on");
  }
  trainer_->set_steps_done(state.step);
  loss_ema_ = state.loss_ema;
  seconds_ = state.seconds;
  log_of_steps_ = state.log;
  std::fprintf(stderr, "resumed from %s\n", checkpoint.string().c_str());
}

void Run::log(const Json& line) {
  if (log_) log_->write(line);
}

Json Run::line_of(int64_t step, int64_t units) const {
  return {{"step", step}, {result_.info.unit + "s", units}};
}

bool Run::measure(bool at_end) {
  const int64_t done = trainer_->steps_done();
  const auto is_due = [&](const Probe& p) { return at_end || (p.every() > 0 && done % p.every() == 0); };
  try {
    for (const auto& probe : probes_) {
      if (!is_due(*probe)) continue;
      Measurement measured = probe->run();
      if (!measured.line.empty()) {
        Json line = line_of(done, done * trainer_->units_per_step());
        line["seconds"] = seconds_;
        line.update(measured.line);
        for (const auto& [name, value] : measured.values) line["metrics"][name] = value;
        log(line);
      }
      result_.measured.update(measured.line);
      if (!at_end) continue;
      for (auto& value : measured.values) result_.values.push_back(std::move(value));
    }
  } catch (const Interrupted&) {
    return false;
  }
  return true;
}

// Stores the state of the log before the measurements after this step, so that a resumed run measures again.
void Run::save() {
  if (!directory_ || trainer_->steps_done() == 0) return;
  log_->sync();
  save_checkpoint(spec_.dir, *workload_, trainer_->optimizer(),
                  {.step = trainer_->steps_done(),
                   .data_fingerprint = workload_->fingerprint(),
                   .log = log_of_steps_,
                   .loss_ema = loss_ema_,
                   .seconds = seconds_},
                  spec_.train.keep_checkpoints);
}

bool Run::step(bool is_last) {
  const Stopwatch watch;
  const StepResult step = trainer_->step();
  const double seconds = watch.seconds();
  seconds_ += seconds;
  seconds_here_ += seconds;
  if (!step.finite()) {
    result_.diverged = true;
    Json line = line_of(step.step + 1, step.units);
    line["diverged"] = true;
    log(line);
    std::fprintf(
        stderr,
        "stopped at step %lld: loss or gradient is not finite; the newest checkpoint is intact, and a "
        "smaller lr may help\n",
        static_cast<long long>(step.step + 1));
    return false;
  }
  loss_ema_ = smoothed(loss_ema_, step.loss);
  const int64_t done = trainer_->steps_done();
  if (done % spec_.train.log_every == 0 || is_last) {
    Json line = line_of(done, step.units);
    line.update({{"loss", step.loss},
                 {"loss_ema", loss_ema_},
                 {"grad_norm", step.grad_norm},
                 {"lr", step.lr},
                 {"seconds", seconds_}});
    for (const auto& [name, value] : step.parts) line[name] = value;
    log(line);
  }
  if (log_) log_of_steps_ = log_->sizes();
  status_->show(step, loss_ema_, seconds_here_ / static_cast<double>(done - first_));
  return true;
}

RunResult Run::go() {
  std::fputs(status_->banner().c_str(), stderr);
  const TrainConfig& train = spec_.train;
  first_ = trainer_->steps_done();
  const int64_t last = spec_.dry_run ? std::min<int64_t>(first_ + 1, train.steps) : train.steps;
  if (first_ > 0 && first_ < last) measure(/*at_end=*/false);
  while (trainer_->steps_done() < last && !interrupted()) {
    if (!step(trainer_->steps_done() + 1 == last)) break;
    const int64_t done = trainer_->steps_done();
    if (done == last) break;
    if (train.checkpoint_every > 0 && done % train.checkpoint_every == 0) save();
    measure(/*at_end=*/false);
  }
  result_.interrupted = interrupted();
  result_.steps = trainer_->steps_done();
  result_.units = result_.steps * trainer_->units_per_step();
  result_.seconds = seconds_;
  result_.units_per_s = static_cast<double>((result_.steps - first_) * trainer_->units_per_step()) /
                        std::max(seconds_here_, 1e-9);
  result_.values.emplace_back(kTrainLoss, loss_ema_);
  if (result_.diverged) return result_;
  save();
  if (!result_.interrupted) result_.interrupted = !measure(/*at_end=*/true);
  return result_;
}

}  // namespace

double RunResult::value(const std::string& metric) const {
  for (const auto& [name, value] : values) {
    if (name == metric) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

RunResult train_run(const RunSpec& spec) { return Run(spec).go(); }

}  // namespace seednorm::lab
