#include "lab/train/run.h"

#include <ATen/Version.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>

#include "lab/base/atomic_file.h"
#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/interrupt.h"
#include "lab/base/json_field.h"
#include "lab/base/smoothing.h"
#include "lab/base/stopwatch.h"
#include "lab/nn/cpu/machine_products.h"
#include "lab/train/checkpoint.h"
#include "lab/train/left_out.h"
#include "lab/train/run_log.h"
#include "lab/train/run_status.h"
#include "lab/train/threads.h"
#include "lab/train/trainer.h"
#include "seednorm/version.h"

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
  // Tells the probes what was measured before the checkpoint.
  void recall();
  // Takes a step, and logs it and those queued before it if something is due after it. Returns whether
  // training can continue.
  bool step(bool is_last);
  bool is_due_after(int64_t done) const;
  bool take(const StepResult& step, bool is_last);
  // Does what is due after the finished steps, and everything at the end. Returns false if the user
  // interrupted it.
  bool measure(bool at_end);
  void save();
  void log(const Json& line);
  Json line_of(int64_t step, int64_t units) const;
  void check_same_everywhere() const;
  void check_same_data() const;
  void choose_products() const;
  void keep_products(const std::string& before) const;
  void open_directory();

  const RunSpec& spec_;
  const Group& group_;
  std::unique_ptr<Workload> workload_;
  std::vector<std::unique_ptr<Probe>> probes_;
  std::unique_ptr<Trainer> trainer_;
  // Null in a dry run, and on other ranks than 0.
  std::unique_ptr<RunDirectory> directory_;
  std::unique_ptr<RunLog> log_;
  RunLog::Sizes log_of_steps_;         // up to the line of the last step, without what was measured after it
  std::unique_ptr<RunStatus> status_;  // null on other ranks than 0
  std::vector<QueuedStep> queued_;     // steps whose numbers nobody has asked for yet
  bool stop_ = false;                  // a signal asked to stop
  LeftOut left_out_{"training data"}, left_out_of_measured_{"measured data"};
  RunResult result_;
  double loss_ema_ = std::numeric_limits<double>::quiet_NaN();
  double seconds_ = 0;       // of training, over all calls
  double seconds_here_ = 0;  // of training, in this call
  int64_t first_ = 0;        // steps done before this call
};

Run::Run(const RunSpec& spec) : spec_(spec), group_(*spec.group) {
  set_training_threads(spec.train.threads);
  check_same_everywhere();
  choose_products();
  group_.together([&] {
    workload_ = spec_.workload();
    workload_->module().to(group_.device());
    spec_.train.check(workload_->unit());
    probes_ = workload_->probes();
  });
  check_same_data();
  trainer_ = std::make_unique<Trainer>(*workload_, spec.train, group_, spec.overfit);
  if (spec.run_ahead) trainer_->set_runs_ahead(true);
  result_.info = info_of(*workload_, probes_);
  const Counts counts = workload_->counts();
  result_.flops_per_unit = counts.flops_per_unit + counts.norm_flops_per_unit;
  if (!spec.dry_run) open_directory();
  if (group_.is_main()) {
    status_ = std::make_unique<RunStatus>(*workload_, *trainer_, spec.train, group_.size());
  }
}

void Run::open_directory() {
  group_.on_main([&] {
    directory_ = std::make_unique<RunDirectory>(spec_.dir, spec_.settings, spec_.resume);
    for (const std::string& note : directory_->notes()) std::fprintf(stderr, "%s\n", note.c_str());
    fs::remove(spec_.dir / kResultFile);  // of a call that measured at its end
  });
  const bool has_checkpoint = directory_ && directory_->checkpoint();
  const fs::path checkpoint = group_.broadcast(has_checkpoint ? directory_->checkpoint()->string() : "");
  if (!checkpoint.empty()) group_.together([&] { resume_from(checkpoint); });
  group_.on_main([&] {
    directory_->describe(result_.info);
    log_ = std::make_unique<RunLog>(spec_.dir, log_of_steps_, result_.info.unit);
    const std::string png = has_checkpoint ? "" : workload_->first_batch_png();
    if (!png.empty()) replace_file(spec_.dir / kFirstBatchFile, png);
  });
  if (!checkpoint.empty()) recall();
}

void Run::recall() {
  std::ifstream lines(spec_.dir / kMetricsFile);
  for (std::string text; std::getline(lines, text);) {
    const nlohmann::json line = parse_json_or_null(text);
    for (const auto& probe : probes_) probe->recall(line);
  }
}

// All ranks take what rank 0 measured, since bits depend on it.
void Run::choose_products() const {
  std::string choice;
  group_.on_main([&] { choice = product_choice_of(spec_.train.products).text(); });
  set_product_choice(ProductChoice::parse(group_.broadcast(choice)));
}

// A run keeps its libraries when it is resumed, unless the user names others.
void Run::keep_products(const std::string& before) const {
  const std::string now = product_choice().text();
  if (before.empty() || before == now) return;
  const bool keeps = spec_.train.products == "auto";
  if (keeps) set_product_choice(ProductChoice::parse(before));
  if (!group_.is_main()) return;
  std::fprintf(
      stderr, "%s: the run began with the matrix products %s%s\n", spec_.dir.c_str(), before.c_str(),
      keeps
          ? (", and keeps them; another kind of processor than this one, where " + now + " is faster").c_str()
          : (" and goes on with " + now + ", which changes last bits").c_str());
}

// Errors (UserError): ranks that were started with other settings, or with another version of the program.
void Run::check_same_everywhere() const {
  if (group_.size() == 1) return;
  const std::vector<std::string> versions =
      group_.gather("seednorm " SEEDNORM_VERSION ", libtorch " TORCH_VERSION);
  const std::vector<std::string> settings = group_.gather(spec_.settings.text);
  const std::vector<std::string> calls = group_.gather(
      spec_.dir.string() + (spec_.resume ? " --resume" : "") + (spec_.dry_run ? " --dry-run" : ""));
  group_.on_main([&] {
    for (size_t r = 1; r < settings.size(); ++r) {
      const std::string rank = "rank " + std::to_string(r);
      const auto refuse = [&](const std::string& what) {
        throw UserError(rank + " was started differently from rank 0 (" + what +
                        "); start all ranks with the same command");
      };
      if (versions[r] != versions[0]) refuse(versions[r] + " there, " + versions[0] + " here");
      if (calls[r] != calls[0]) refuse(calls[r] + " there, " + calls[0] + " here");
      if (settings[r] == settings[0]) continue;
      if (const auto difference = spec_.settings.difference(rank, settings[r])) refuse(*difference);
    }
  });
}

void Run::check_same_data() const {
  const std::vector<std::string> prints = group_.gather(workload_->fingerprint());
  for (size_t r = 1; r < prints.size(); ++r) {
    if (prints[r] != prints[0]) {
      throw UserError("rank " + std::to_string(r) +
                      " has other training data than rank 0 under the same name");
    }
  }
}

void Run::resume_from(const fs::path& checkpoint) {
  const TrainerState state = load_checkpoint(checkpoint, *workload_, trainer_->optimizer());
  if (state.data_fingerprint != workload_->fingerprint()) {
    throw UserError(spec_.dir.string() + ": the data differ from those that " + checkpoint.string() +
                    " was trained on");
  }
  trainer_->set_steps_done(state.step);
  keep_products(state.products);
  if (state.micro_rows > 0) trainer_->set_micro_rows(state.micro_rows);
  loss_ema_ = state.loss_ema;
  seconds_ = state.seconds;
  log_of_steps_ = state.log;
  if (group_.is_main()) std::fprintf(stderr, "resumed from %s\n", checkpoint.string().c_str());
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
  // Ranks must not leave a measurement that they take together one by one.
  std::optional<DeferInterrupts> defer;
  if (group_.size() > 1) defer.emplace();
  try {
    for (const auto& probe : probes_) {
      if (!is_due(*probe)) continue;
      Measurement measured;
      group_.together([&] { measured = probe->run(group_); });
      left_out_of_measured_.add(measured.left_out, group_);
      if (!measured.line.empty()) {
        Json line = line_of(done, done * trainer_->units_per_step());
        line["seconds"] = seconds_;
        line.update(measured.line);
        for (const auto& [name, value] : measured.values) line["metrics"][name] = value;
        if (left_out_of_measured_.count() > 0) line["left_out"] = left_out_of_measured_.count();
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
  if (spec_.dry_run || trainer_->steps_done() == 0) return;
  if (log_) log_->sync();
  save_checkpoint(spec_.dir, *workload_, trainer_->optimizer(),
                  {.step = trainer_->steps_done(),
                   .data_fingerprint = workload_->fingerprint(),
                   .log = log_of_steps_,
                   .loss_ema = loss_ema_,
                   .seconds = seconds_,
                   .products = product_choice().text(),
                   .micro_rows = trainer_->micro_rows()},
                  spec_.train.keep_checkpoints, group_);
}

bool Run::is_due_after(int64_t done) const {
  const auto divides = [&](int64_t every) { return every > 0 && done % every == 0; };
  return divides(spec_.train.log_every) || divides(spec_.train.checkpoint_every) ||
         std::any_of(probes_.begin(), probes_.end(), [&](const auto& p) { return divides(p->every()); });
}

bool Run::step(bool is_last) {
  const Stopwatch watch;
  queued_.push_back(trainer_->queue(interrupted()));
  stop_ = queued_.back().result.stop;
  std::vector<StepResult> steps;
  if (!trainer_->runs_ahead() || is_last || stop_ || is_due_after(trainer_->steps_done())) {
    for (const QueuedStep& queued : queued_) {
      steps.push_back(trainer_->read(queued));
      if (!steps.back().finite()) break;
    }
    queued_.clear();
  }
  const double seconds = watch.seconds();
  seconds_ += seconds;
  seconds_here_ += seconds;
  return std::all_of(steps.begin(), steps.end(),
                     [&](const StepResult& step) { return take(step, is_last && &step == &steps.back()); });
}

bool Run::take(const StepResult& step, bool is_last) {
  if (!step.finite()) {
    result_.diverged = true;
    Json line = line_of(step.step + 1, step.units);
    line["diverged"] = true;
    log(line);
    if (group_.is_main()) {
      std::fprintf(
          stderr,
          "stopped at step %lld: loss or gradient is not finite; the newest checkpoint is intact, and a "
          "smaller lr may help\n",
          static_cast<long long>(step.step + 1));
    }
    return false;
  }
  loss_ema_ = smoothed(loss_ema_, step.loss);
  const int64_t done = step.step + 1;
  if (done % spec_.train.log_every == 0 || is_last) {
    Json line = line_of(done, step.units);
    line.update({{"loss", step.loss},
                 {"loss_ema", loss_ema_},
                 {"grad_norm", step.grad_norm},
                 {"lr", step.lr},
                 {"seconds", seconds_}});
    for (const auto& [name, value] : step.parts) line[name] = value;
    if (const auto mine = workload_->left_out()) left_out_.add(*mine, group_);
    if (left_out_.count() > 0) line["left_out"] = left_out_.count();
    log(line);
  }
  if (log_) log_of_steps_ = log_->sizes();
  if (status_) status_->show(step, loss_ema_, seconds_here_ / static_cast<double>(done - first_));
  return true;
}

RunResult Run::go() {
  if (status_) std::fputs(status_->banner().c_str(), stderr);
  const TrainConfig& train = spec_.train;
  first_ = trainer_->steps_done();
  const int64_t last = spec_.dry_run ? std::min<int64_t>(first_ + 1, train.steps) : train.steps;
  const bool has_weights = first_ > 0 ? first_ < last : workload_->begins_trained() && !spec_.dry_run;
  if (has_weights) measure(/*at_end=*/false);
  // A group learns of a signal at the end of a step, so that all stop after the same one.
  if (group_.size() == 1) stop_ = interrupted();
  while (trainer_->steps_done() < last && !stop_) {
    if (!step(trainer_->steps_done() + 1 == last)) break;
    const int64_t done = trainer_->steps_done();
    if (done == last || stop_) break;
    if (train.checkpoint_every > 0 && done % train.checkpoint_every == 0) save();
    measure(/*at_end=*/false);
    if (group_.size() == 1) stop_ = interrupted();
  }
  result_.interrupted = stop_;
  result_.steps = trainer_->steps_done();
  result_.units = result_.steps * trainer_->units_per_step();
  result_.seconds = seconds_;
  result_.units_per_s = static_cast<double>((result_.steps - first_) * trainer_->units_per_step()) /
                        std::max(seconds_here_, 1e-9);
  result_.values.emplace_back(kTrainLoss, loss_ema_);
  if (!result_.diverged) {
    save();
    if (!result_.interrupted) result_.interrupted = !measure(/*at_end=*/true);
  }
  for (const LeftOut* data : {&left_out_, &left_out_of_measured_}) data->print_count(group_);
  if (directory_ && !result_.interrupted) {
    log_->sync();
    replace_file(spec_.dir / kResultFile, result_json(result_));
  }
  return result_;
}

}  // namespace

RunResult train_run(const RunSpec& spec) { return Run(spec).go(); }

}  // namespace seednorm::lab
