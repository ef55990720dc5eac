#include "lab/train/run.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/interrupt.h"
#include "lab/base/progress.h"
#include "lab/base/split_list.h"
#include "lab/base/stopwatch.h"
#include "lab/language/data/batches.h"
#include "lab/language/data/tokenizer/tokenizer.h"
#include "lab/language/models/counts.h"
#include "lab/nn/cpu/matmul_speed.h"
#include "lab/nn/cpu/products.h"
#include "lab/train/checkpoint.h"
#include "lab/train/run_log.h"
#include "lab/train/threads.h"
#include "lab/train/trainer.h"
#include "lab/train/validation.h"
#include "seednorm/simd.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
class Run {
 public:
  explicit Run(const RunSpec& spec);
  RunResult go();

 private:
  void open_data();
  void open_dir();
  RunLog::Sizes resume_from(const fs::path& checkpoint);
  void log(const nlohmann::ordered_json& line);
  // A line of what was measured after the steps that are done.
  void log_measured(const nlohmann::ordered_json& measured);
  void validate();
  void evaluate_tasks();
  // What is due after the steps that are done; at the end of the run, all. Whether the user let it finish.
  bool measure(bool at_end);
  void save();
  void show(const StepResult& step, double seconds);
  std::string banner() const;
  int64_t tokens_per_step() const { return spec_.train.batch_size * spec_.model.context; }

  RunSpec spec_;
  std::optional<TokenStream> stream_;
  TokenizerInfo tokenizer_;
  std::optional<Batches> order_;
  std::shared_ptr<Model> model_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<Validation> validation_;
  std::optional<RunLog> log_;   // none in a dry run
  RunLog::Sizes log_of_steps_;  // up to the line of the last step, without what was measured after it
  Progress progress_;
  RunResult result_;
  double loss_ema_ = std::nan("");
  double seconds_ = 0;  // of training, over all calls
  double flops_per_token_ = 0;
  at::ScalarType products_ = at::kFloat;  // the dtype of matrix products
  double peak_flops_ = 0;                 // of matrix products alone, a second
};

Run::Run(const RunSpec& spec) : spec_(spec) {
  spec_.train.check();
  set_training_threads(spec_.train.threads);
  open_data();
  model_ = std::make_shared<Model>(spec_.model, static_cast<uint64_t>(spec_.train.seed));
  trainer_ = std::make_unique<Trainer>(*model_, spec_.train, [this](int64_t step, int64_t index) {
    at::Tensor out = at::empty({spec_.model.context + 1}, at::kLong);
    order_->read(spec_.overfit ? 0 : step, index, 1,
                 {out.data_ptr<int64_t>(), static_cast<size_t>(out.numel())});
    return out;
  });
  validation_.emplace(spec_.train, model_, tokenizer_.file);
  flops_per_token_ = count(*model_).flops_per_token;
  products_ = product_dtype(spec_.train.dtype == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat);
  peak_flops_ = matmul_flops_per_s(products_);
  if (!spec_.dry_run) open_dir();
}

void Run::open_data() {
  const TrainConfig& train = spec_.train;
  if (train.train_data.empty()) {
    throw UserError(
        "train_data: no token shards given; make some with seednorm data tokenize, then train_data=FOLDER");
  }
  const std::vector<std::string> folders = split_list(train.train_data);
  stream_ = TokenStream::open(folders);
  tokenizer_.eos_id = stream_->eos_id();
  // Shards made by older versions do not have it.
  const fs::path tokenizer = fs::path(folders[0]) / kTokenizerFile;
  if (fs::exists(tokenizer)) tokenizer_.file = tokenizer;
  if (spec_.model.vocab_size == 0) spec_.model.vocab_size = stream_->vocab_size();
  if (spec_.model.vocab_size < stream_->vocab_size()) {
    throw UserError("vocab_size: the data's tokenizer has " + std::to_string(stream_->vocab_size()) +
                    " ids, the model only " + std::to_string(spec_.model.vocab_size));
  }
  order_.emplace(*stream_, BatchOptions{.context = spec_.model.context,
                                        .batch_size = train.batch_size,
                                        .seed = static_cast<uint64_t>(train.data_seed)});
}

void Run::open_dir() {
  const fs::path config = spec_.dir / "config.toml";
  const bool exists = fs::exists(config);
  if (exists && !spec_.resume) {
    throw UserError(spec_.dir.string() +
                    ": holds a run already; --resume goes on with it, or choose another --out");
  }
  if (!exists && fs::exists(spec_.dir) && !fs::is_empty(spec_.dir)) {
    throw UserError(spec_.dir.string() + ": is not empty and holds no run; choose another --out");
  }
  if (exists && read_file(config, size_t{1} << 20) != spec_.config_text) {
    throw UserError(config.string() +
                    ": the run was begun with other settings; resume it with those, or choose another --out");
  }
  fs::create_directories(spec_.dir);
  const FoundCheckpoint found = find_checkpoint(spec_.dir);
  for (const std::string& line : found.damaged) std::fprintf(stderr, "passed over: %s\n", line.c_str());
  if (!exists) replace_file(config, spec_.config_text);
  // Without a checkpoint, what is there is of steps that will be taken again.
  if (found.path) log_of_steps_ = resume_from(*found.path);
  log_.emplace(spec_.dir, log_of_steps_);
}

RunLog::Sizes Run::resume_from(const fs::path& checkpoint) {
  const TrainerState state = load_checkpoint(checkpoint, *model_, trainer_->optimizer());
  if (state.data_fingerprint != stream_->fingerprint()) {
    throw UserError(spec_.train.train_data + ": not the data that " + checkpoint.string() +
                    " was trained on");
  }
  trainer_->set_steps_done(state.step);
  loss_ema_ = state.loss_ema;
  seconds_ = state.seconds;
  std::fprintf(stderr, "resumed from %s\n", checkpoint.string().c_str());
  return state.log;
}

void Run::log(const nlohmann::ordered_json& line) {
  if (log_) log_->write(line);
}

void Run::log_measured(const nlohmann::ordered_json& measured) {
  const int64_t step = trainer_->steps_done();
  nlohmann::ordered_json line = {{"step", step}, {"tokens", step * tokens_per_step()}, {"seconds", seconds_}};
  line.update(measured);
  log(line);
}

void Run::validate() {
  const nlohmann::ordered_json measured = validation_->losses(*trainer_);
  if (measured.contains("valid")) result_.valid_loss = measured["valid"].get<std::map<std::string, double>>();
  if (!measured.empty()) log_measured(measured);
}

void Run::evaluate_tasks() {
  if (validation_->has_tasks()) log_measured(validation_->tasks());
}

bool Run::measure(bool at_end) {
  const auto due = [&](int64_t period) {
    return at_end || (period > 0 && trainer_->steps_done() % period == 0);
  };
  try {
    if (due(spec_.train.eval_every)) validate();
    if (due(spec_.train.tasks_every)) evaluate_tasks();
  } catch (const Interrupted&) {
    return false;
  }
  return true;
}

// With the log as it was before the model was measured after this step: who goes on from here measures again.
void Run::save() {
  if (spec_.dry_run || trainer_->steps_done() == 0) return;
  log_->sync();
  save_checkpoint(spec_.dir, *model_, trainer_->optimizer(),
                  {.step = trainer_->steps_done(),
                   .data_fingerprint = stream_->fingerprint(),
                   .log = log_of_steps_,
                   .loss_ema = loss_ema_,
                   .seconds = seconds_},
                  tokenizer_, spec_.train.keep_checkpoints);
}

std::string Run::banner() const {
  int64_t params = 0;
  for (const ParamInfo& p : model_->params()) params += p.tensor.numel();
  std::string out = std::string(name_of(spec_.model.family)) + ", " + with_unit(static_cast<double>(params)) +
                    " parameters; norms: block " + spec_.model.block_norm.text() + ", qk " +
                    spec_.model.qk_norm.text() + ", output " + spec_.model.output_norm.text() + "\n";
  out += with_unit(static_cast<double>(stream_->num_tokens())) + " tokens of data, " +
         with_unit(static_cast<double>(spec_.train.steps * tokens_per_step())) + " to train on; " +
         std::to_string(at::get_num_threads()) + " threads\n";
  out += with_unit(16 * static_cast<double>(params)) +
         "B for weights, gradients and AdamW's state; norms by " + simd_target() + ", libtorch by " +
         at::get_cpu_capability() + ", matrix products in " + c10::toString(products_) + " at " +
         with_unit(peak_flops_) + "FLOP/s\n";
  return out + to_text(trainer_->optimizer().groups());
}

void Run::show(const StepResult& step, double seconds) {
  if (!progress_.is_due()) return;
  const double left = seconds * static_cast<double>(spec_.train.steps - trainer_->steps_done());
  const double speed = static_cast<double>(tokens_per_step()) / seconds;
  char line[160];
  std::snprintf(
      line, sizeof(line),
      "step %lld/%lld  loss %.4f (%.4f)  grad %.2f  lr %.2e  %s tokens/s, %.0f%% of peak  %.0f s left",
      static_cast<long long>(trainer_->steps_done()), static_cast<long long>(spec_.train.steps), step.loss,
      loss_ema_, step.grad_norm, step.lr, with_unit(speed).c_str(),
      100 * speed * flops_per_token_ / peak_flops_, left);
  progress_.show(line);
}

RunResult Run::go() {
  std::fputs(banner().c_str(), stderr);
  const TrainConfig& train = spec_.train;
  const int64_t first = trainer_->steps_done();
  const int64_t last = spec_.dry_run ? std::min<int64_t>(first + 1, train.steps) : train.steps;
  double training = 0;
  if (first > 0 && first < last) measure(/*at_end=*/false);
  while (trainer_->steps_done() < last && !interrupted()) {
    const Stopwatch watch;
    const StepResult step = trainer_->step();
    const double seconds = watch.seconds();
    training += seconds;
    seconds_ += seconds;
    if (!step.finite()) {
      result_.diverged = true;
      log({{"step", step.step + 1}, {"tokens", step.tokens}, {"diverged", true}});
      std::fprintf(stderr,
                   "stopped at step %lld: loss or gradient is not finite; the newest checkpoint is good, a "
                   "smaller lr may help\n",
                   static_cast<long long>(step.step + 1));
      break;
    }
    loss_ema_ = std::isnan(loss_ema_) ? step.loss : kLossEma * loss_ema_ + (1 - kLossEma) * step.loss;
    const int64_t done = trainer_->steps_done();
    if (done % train.log_every == 0 || done == last) {
      nlohmann::ordered_json line = {
          {"step", done},          {"tokens", step.tokens},       {"loss", step.loss},
          {"loss_ema", loss_ema_}, {"grad_norm", step.grad_norm}, {"lr", step.lr},
          {"seconds", seconds_}};
      if (spec_.model.num_experts > 0) line["balance"] = step.balance, line["router_z"] = step.router_z;
      log(line);
    }
    if (log_) log_of_steps_ = log_->sizes();
    show(step, training / static_cast<double>(done - first));
    if (done == last) break;
    if (train.checkpoint_every > 0 && done % train.checkpoint_every == 0) save();
    measure(/*at_end=*/false);
  }
  result_.interrupted = interrupted();
  result_.steps = trainer_->steps_done();
  result_.tokens = result_.steps * tokens_per_step();
  result_.train_loss = loss_ema_;
  result_.seconds = seconds_;
  result_.tokens_per_s =
      static_cast<double>((result_.steps - first) * tokens_per_step()) / std::max(training, 1e-9);
  if (result_.diverged) return result_;
  save();
  if (!result_.interrupted) result_.interrupted = !measure(/*at_end=*/true);
  return result_;
}

}  // namespace

RunResult train_run(const RunSpec& spec) { return Run(spec).go(); }

}  // namespace seednorm::lab
