#include "lab/train/weight_average.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "lab/nn/linear.h"
#include "lab/train/optimizer.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

struct Fixture {
  Linear layer{1, 1};
  std::vector<ParamInfo> params = {{"weight", layer.weight, Role::kMatrix}};
  void set(double value) {
    const at::NoGradGuard no_grad;
    layer.weight.fill_(value);
  }
};

TEST(WeightAverage, FollowsTheFormula) {
  Fixture f;
  f.set(8);
  WeightAverage average(f.params, {.decay = 0.75, .warmup = false});
  double expected = 8;
  for (int64_t step = 0; step < 5; ++step) {
    f.set(static_cast<double>(step));
    average.update(step);
    expected = 0.75 * expected + 0.25 * static_cast<double>(step);
    EXPECT_NEAR(average.state()[0].second.item<double>(), expected, 1e-5);
  }
}

TEST(WeightAverage, WarmUpForgetsTheBeginning) {
  Fixture f;
  f.set(8);
  WeightAverage average(f.params, {.decay = 0.9, .warmup = true});
  EXPECT_EQ(average.decay_at(0), 0);
  EXPECT_NEAR(average.decay_at(7), 0.75, 1e-12);
  EXPECT_EQ(average.decay_at(1000), 0.9);
  f.set(2);
  average.update(0);
  EXPECT_EQ(average.state()[0].second.item<double>(), 2);
}

// The optimizer and the graph hold the parameter, so that its values must change places and not the tensor.
TEST(WeightAverage, IsInUseForAWhile) {
  Fixture f;
  f.set(8);
  WeightAverage average(f.params, {.decay = 0.5, .warmup = false});
  f.set(4);
  average.update(0);
  const Tensor held = f.layer.weight;
  {
    const WeightAverage::InUse in_use(average);
    EXPECT_EQ(held.item<double>(), 6);
    EXPECT_EQ(f.layer.forward(at::ones({1, 1})).item<double>(), 6);
  }
  EXPECT_EQ(held.item<double>(), 4);
  EXPECT_EQ(average.state()[0].second.item<double>(), 6);
  EXPECT_TRUE(held.requires_grad());
}

TEST(Groups, LearningRatesAreScaled) {
  Linear a(1, 1), b(1, 1);
  for (Linear* l : {&a, &b}) {
    const at::NoGradGuard no_grad;
    l->weight.fill_(1);
    l->weight.mutable_grad() = at::ones({1, 1});
  }
  TrainConfig config;
  config.weight_decay = 0;
  const auto groups =
      param_groups({{"a", a.weight, Role::kMatrix, 1}, {"b", b.weight, Role::kMatrix, 0.25}}, config);
  ASSERT_EQ(groups.size(), 2u);
  Optimizer optimizer(groups, config);
  optimizer.step(0.5, {a.weight.grad(), b.weight.grad()});
  // AdamW's first step is lr, whatever the gradient.
  EXPECT_NEAR(a.weight.item<double>(), 0.5, 1e-6);
  EXPECT_NEAR(b.weight.item<double>(), 0.875, 1e-6);
  EXPECT_NE(to_text(groups).find("(learning rate x 0.25)"), std::string::npos);
}

TEST(Groups, DynamicParametersMayBeLeftOut) {
  TrainConfig config;
  const std::vector<ParamInfo> params = {{"alpha", at::ones({1}), Role::kDynamic}};
  EXPECT_EQ(param_groups(params, config)[0].weight_decay, 0.1);
  config.decay_dynamic = false;
  EXPECT_EQ(param_groups(params, config)[0].weight_decay, 0);
}

}  // namespace
}  // namespace seednorm::lab
