// Training: schedule, groups, accumulation, and that models learn.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lab/language/probes.h"
#include "lab/nn/loss.h"
#include "lab/train/schedule.h"
#include "lab/train/threads.h"
#include "lab/train/trainer.h"
#include "tests/lab/language/small_model.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

ModelConfig model_config(const std::string& family) {
  ModelConfig c = small_model(family, "seed_norm");
  c.vocab_size = 32;
  c.init_std = 0.02;
  return c;
}

TrainConfig train_config() {
  TrainConfig c;
  c.steps = 60;
  c.batch_size = 8;
  c.lr = 1e-2;
  c.warmup = 5 * 8 * 16;
  return c;
}

// Counting upwards from a number that depends on step and row: easy to learn. [rows, 17]
Tensor counting(int64_t step, int64_t first, int64_t rows) {
  return (at::arange(17).unsqueeze(0) + step * 5 + (at::arange(first, first + rows) * 3).unsqueeze(1))
      .remainder(32);
}

// A language model that learns to count. What it has not to do with training is left out.
class CountingWorkload : public Workload {
 public:
  CountingWorkload(const ModelConfig& config, const TrainConfig& train, double balance_weight = 0.01)
      : model_(config, 1), balance_weight_(balance_weight) {
    model_.set_dtype(train.dtype == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat);
  }
  Model& model() { return model_; }

  torch::nn::Module& module() override { return model_; }
  std::vector<ParamInfo> params() const override { return model_.params(); }
  std::string name() const override { return "counting"; }
  std::string unit() const override { return "token"; }
  std::string loss_unit() const override { return "nats per token"; }
  int64_t units_per_row() const override { return 16; }
  Counts counts() const override { return {}; }
  Batch batch(int64_t step, RowRange rows) const override {
    return {.tensors = {counting(step, rows.first, rows.count)}, .units = 16 * rows.count};
  }
  Loss loss(const Batch& batch, double share) override {
    std::vector<AuxiliaryLoss> layers;
    const Tensor hidden = model_.hidden(batch.tensors[0].narrow(1, 0, 16), &layers);
    const Tensor targets = batch.tensors[0].narrow(1, 1, 16).flatten();
    const Tensor own = linear_cross_entropy(hidden.flatten(0, 1), model_.head(), targets,
                                            share / static_cast<double>(targets.numel()));
    Tensor total = own;
    for (const AuxiliaryLoss& l : layers) total = total + share * balance_weight_ * l.balance;
    return {.total = total, .parts = {{"loss", own}}};
  }
  std::vector<std::unique_ptr<Probe>> probes() override { return {}; }
  void save(const std::filesystem::path&) const override {}
  void load(const std::filesystem::path&) override {}
  std::string fingerprint() const override { return ""; }
  std::string summary() const override { return ""; }
  nlohmann::json model_config() const override { return {}; }

 private:
  Model model_;
  double balance_weight_;
};

TEST(Schedule, WarmUpAndCosine) {
  TrainConfig c = train_config();
  c.warmup = 1000;
  c.steps = 100;
  EXPECT_DOUBLE_EQ(learning_rate(c, 0, 100), c.lr * 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(c, 9, 100), c.lr);
  EXPECT_NEAR(learning_rate(c, 54, 100), c.lr * 0.55, 1e-12);  // half way: the mean of both ends
  EXPECT_NEAR(learning_rate(c, 99, 100), c.lr * 0.1, 1e-12);
}

TEST(Groups, AlphaAndBetaAreDecayedGammaAsTheRecipeSays) {
  ModelConfig config = model_config("olmo2");
  config.frac_rate = 2;
  const Model model(config, 0);
  TrainConfig train = train_config();
  int64_t seen = 0;
  for (const ParamGroup& g : param_groups(model.params(), train)) {
    const bool decayed = g.role == Role::kMatrix || g.role == Role::kDynamic;
    EXPECT_EQ(g.weight_decay, decayed ? 0.1 : 0.0) << name_of(g.role);
    for (const ParamInfo& p : g.params) {
      const bool dynamic = p.name.ends_with(".alpha") || p.name.ends_with(".beta");
      EXPECT_TRUE(!dynamic || g.role == Role::kDynamic) << p.name;
      ++seen;
    }
  }
  EXPECT_EQ(seen, static_cast<int64_t>(model.params().size()));
  train.decay_gain = train.decay_embedding = true;
  for (const ParamGroup& g : param_groups(model.params(), train))
    EXPECT_EQ(g.weight_decay > 0, g.role != Role::kStatic);
}

class Families : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Train, Families, testing::ValuesIn(family_names()),
                         [](const auto& i) { return i.param; });

TEST_P(Families, Learns) {
  for (const Precision dtype : {Precision::kFloat32, Precision::kBFloat16}) {
    TrainConfig config = train_config();
    config.dtype = dtype;
    CountingWorkload workload(model_config(GetParam()), config);
    Trainer trainer(workload, config);
    const double first = trainer.step().loss;
    double last = first;
    while (trainer.steps_done() < config.steps) last = trainer.step().loss;
    EXPECT_NEAR(first, std::log(32), 0.3);
    EXPECT_LT(last, 0.5 * first);
    EXPECT_LT(mean_loss(workload.model(), counting(100, 0, 1), 1), 0.7 * first);
  }
}

// At AdamW's learning rate.
TEST_P(Families, LearnsByMuon) {
  std::vector<double> last;
  for (const Method method : {Method::kAdamW, Method::kMuon}) {
    TrainConfig config = train_config();
    config.optimizer = method;
    CountingWorkload workload(model_config(GetParam()), config);
    Trainer trainer(workload, config);
    while (trainer.steps_done() < config.steps) {
      const StepResult step = trainer.step();
      ASSERT_TRUE(step.finite());
      if (trainer.steps_done() == config.steps) last.push_back(step.loss);
    }
  }
  EXPECT_LT(last[1], 0.5 * std::log(32));
  EXPECT_NE(last[0], last[1]);
}

TEST_P(Families, EqualStepsForEqualSeeds) {
  const TrainConfig config = train_config();
  CountingWorkload a(model_config(GetParam()), config), b(model_config(GetParam()), config);
  Trainer first(a, config), second(b, config);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(first.step().loss, second.step().loss);
}

TEST(Accumulation, MicroBatchesGiveTheGradientOfTheBatch) {
  TrainConfig config = train_config();
  CountingWorkload whole(model_config("olmo2"), config), parts(model_config("olmo2"), config);
  Trainer a(whole, config);
  config.micro_batch_size = 3;  // 3 + 3 + 2
  Trainer b(parts, config);
  const StepResult x = a.step(), y = b.step();
  EXPECT_NEAR(x.loss, y.loss, 1e-5);
  EXPECT_NEAR(x.grad_norm, y.grad_norm, 1e-4 * x.grad_norm);
}

TEST(Threads, RoundSubnormalNumbersToZero) {
  const Tensor a = at::full({1 << 20}, 1e-30);
  ASSERT_GT((a * 1e-10).min().item<float>(), 0.0f);  // threads are there already
  set_training_threads(0);
  EXPECT_EQ((a * 1e-10).abs().max().item<float>(), 0.0f);
}

TEST(Guard, AStepThatIsNotFiniteChangesNothing) {
  CountingWorkload workload(model_config("olmo2"), train_config());
  Trainer trainer(workload, train_config());
  trainer.step();
  const at::NoGradGuard no_grad;
  const std::vector<ParamInfo> params = workload.params();
  params.back().tensor.fill_(std::nan(""));  // the output norm's
  const Tensor before = params[0].tensor.clone();
  {
    const at::AutoGradMode grad(true);
    const StepResult result = trainer.step();
    EXPECT_FALSE(result.finite());
  }
  EXPECT_TRUE(at::equal(before, params[0].tensor));
  EXPECT_EQ(trainer.steps_done(), 1);
}

}  // namespace
}  // namespace seednorm::lab
