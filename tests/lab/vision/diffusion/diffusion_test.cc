#include "lab/vision/diffusion/diffusion.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <numbers>

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kDouble);
}

double at_index(const Tensor& x, int64_t i) { return x.flatten()[i].item<double>(); }

// Known values of DiT's diffusion.
TEST(NoiseSchedule, HasTheTablesOfDit) {
  const NoiseSchedule s = NoiseSchedule::linear();
  ASSERT_EQ(s.size(), 1000);
  EXPECT_TRUE(std::abs(s.betas[0] - 1e-4) <= 1e-18);
  EXPECT_TRUE(std::abs(s.betas[999] - 0.02) <= 1e-16);
  EXPECT_TRUE(std::abs(s.log_posterior[0] - -9.8167) <= 5e-5);
  EXPECT_EQ(s.log_posterior[0], s.log_posterior[1]);
}

TEST(NoiseSchedule, IsRespacedAsForSampling) {
  const NoiseSchedule all = NoiseSchedule::linear(), s = all.respaced(250);
  ASSERT_EQ(s.size(), 250);
  for (int64_t k = 0; k < 250; ++k) {
    EXPECT_EQ(s.timesteps[k], std::lround(999.0 * static_cast<double>(k) / 249)) << k;
    EXPECT_TRUE(std::abs(s.alpha_bars[k] / all.alpha_bars[s.timesteps[k]] - 1) <= 1e-12) << k;
  }
  EXPECT_EQ(s.timesteps[1], 4);
  EXPECT_EQ(s.timesteps[248], 995);
  EXPECT_EQ(s.timesteps[249], 999);
  EXPECT_TRUE(std::abs(s.betas[249] - 0.07752) <= 5e-6);
  // 499.5 is rounded to even, as Python does.
  EXPECT_EQ(all.respaced(3).timesteps, (std::vector<int64_t>{0, 500, 999}));
  EXPECT_EQ(s.respaced(250).timesteps, s.timesteps);
  EXPECT_EQ(s.respaced(2).timesteps, (std::vector<int64_t>{0, 999}));
}

TEST(NoiseSchedule, RefusesStepsThatCannotBe) {
  EXPECT_THROW(NoiseSchedule::linear(20), std::invalid_argument);
  EXPECT_THROW(NoiseSchedule::linear(1000).respaced(1), std::invalid_argument);
  EXPECT_THROW(NoiseSchedule::linear(1000).respaced(1001), std::invalid_argument);
  EXPECT_THROW(NoiseSchedule({0.5, 1}), std::invalid_argument);
  EXPECT_THROW(NoiseSchedule({0.5}), std::invalid_argument);
}

// The formulas number by number, from Bayes' rule and densities rather than from DDPM's coefficients.
struct Oracle {
  explicit Oracle(const NoiseSchedule& s) : schedule(s) {}

  // What x_{t-1} is distributed as given x_t and x_0: the product of two normal densities.
  std::array<double, 2> posterior(double x0, double xt, int64_t t) const {
    if (t == 0) return {x0, 0};
    const double beta = schedule.betas[t], alpha_bar = bar(t - 1);
    const double variance = 1 / ((1 - beta) / beta + 1 / (1 - alpha_bar));
    return {variance * (std::sqrt(1 - beta) / beta * xt + std::sqrt(alpha_bar) / (1 - alpha_bar) * x0),
            variance};
  }
  double bar(int64_t t) const {
    double out = 1;
    for (int64_t i = 0; i <= t; ++i) out *= 1 - schedule.betas[i];
    return out;
  }
  std::array<double, 2> model(double noise, double v, double xt, int64_t t) const {
    const double x0 = (xt - std::sqrt(1 - bar(t)) * noise) / std::sqrt(bar(t));
    const double low = posterior(0, 0, std::max<int64_t>(t, 1))[1], high = schedule.betas[t];
    return {posterior(x0, xt, t)[0], std::pow(high, (v + 1) / 2) * std::pow(low, (1 - v) / 2)};
  }
  double bound(double x0, double xt, double noise, double v, int64_t t) const {
    const auto [mean, variance] = model(noise, v, xt, t);
    if (t > 0) {
      const auto [true_mean, true_variance] = posterior(x0, xt, t);
      const double ratio = true_variance / variance, distance = true_mean - mean;
      return (ratio - 1 - std::log(ratio) + distance * distance / variance) / 2 / std::numbers::ln2;
    }
    const double deviation = std::sqrt(variance);
    const double low = x0 < -0.999 ? 0 : cdf((x0 - mean - 1.0 / 255) / deviation),
                 high = x0 > 0.999 ? 1 : cdf((x0 - mean + 1.0 / 255) / deviation);
    return -std::log2(std::max(high - low, 1e-12));
  }
  static double cdf(double x) {
    return 0.5 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }

  NoiseSchedule schedule;
};

class Formulas : public testing::Test {
 protected:
  static constexpr int64_t kRows = 6, kEach = 3 * 4 * 2;
  const Diffusion diffusion_{NoiseSchedule::linear()};
  const Oracle oracle_{diffusion_.schedule()};
  const Tensor t_ = at::tensor(std::vector<int64_t>{0, 1, 2, 500, 998, 999}, at::kLong);
  const Tensor x0_ = (random({kRows, 3, 4, 2}, 1) * 0.7).clamp(-1, 1), noise_ = random({kRows, 3, 4, 2}, 2),
               predicted_ = random({kRows, 3, 4, 2}, 3), v_ = random({kRows, 3, 4, 2}, 4) * 0.7;
  const Tensor xt_ = diffusion_.noised(x0_, t_, noise_);
  const Tensor prediction_ = at::cat({predicted_, v_}, -1);
};

TEST_F(Formulas, OfTheLossAreTheOriginals) {
  const DiffusionLoss loss = diffusion_.loss(prediction_, x0_, xt_, t_, noise_);
  for (int64_t row = 0; row < kRows; ++row) {
    const int64_t t = t_[row].item<int64_t>();
    double mse = 0, bound = 0;
    for (int64_t i = row * kEach; i < (row + 1) * kEach; ++i) {
      const double difference = at_index(noise_, i) - at_index(predicted_, i);
      mse += difference * difference / kEach;
      bound +=
          oracle_.bound(at_index(x0_, i), at_index(xt_, i), at_index(predicted_, i), at_index(v_, i), t) /
          kEach;
    }
    // Coefficients are quotients of numbers down to 1e-4, so that some 1e4 roundings of 1e-16 remain.
    EXPECT_TRUE(std::abs(loss.mse[row].item<double>() - mse) <= 1e-13 * mse) << t;
    EXPECT_TRUE(std::abs(loss.bound[row].item<double>() - bound) <= 1e-11 * std::abs(bound)) << t;
  }
  // In float32 each number has a relative error of 2^-24, and differences of means are 1e-2 of them and less.
  const DiffusionLoss less = diffusion_.loss(prediction_.to(at::kFloat), x0_.to(at::kFloat),
                                             xt_.to(at::kFloat), t_, noise_.to(at::kFloat));
  EXPECT_TRUE(((less.mse - loss.mse).abs() / loss.mse).max().item<double>() <= 1e-6);
  EXPECT_TRUE(((less.bound - loss.bound).abs() / loss.bound.abs()).max().item<double>() <= 1e-3);
}

TEST_F(Formulas, OfTheBoundTeachOnlyTheVariances) {
  Tensor prediction = prediction_.clone().requires_grad_(true);
  const auto gradient = [&](const Tensor& loss) {
    return torch::autograd::grad({loss.sum()}, {prediction}, {}, true)[0];
  };
  const DiffusionLoss loss = diffusion_.loss(prediction, x0_, xt_, t_, noise_);
  const Tensor of_bound = gradient(loss.bound), of_mse = gradient(loss.mse);
  EXPECT_EQ(of_bound.narrow(-1, 0, 2).abs().max().item<double>(), 0);
  EXPECT_TRUE(of_bound.narrow(-1, 2, 2).abs().min().item<double>() > 0);
  EXPECT_EQ(of_mse.narrow(-1, 2, 2).abs().max().item<double>(), 0);
}

TEST_F(Formulas, OfAStepBackAreTheOriginals) {
  const Tensor fresh = random({kRows, 3, 4, 2}, 5);
  for (const int64_t t : {0, 1, 2, 500, 999}) {
    const Tensor back = diffusion_.step_back(prediction_, xt_, t, fresh);
    for (int64_t i = 0; i < kRows * kEach; ++i) {
      const auto [mean, variance] =
          oracle_.model(at_index(predicted_, i), at_index(v_, i), at_index(xt_, i), t);
      const double expected = mean + (t == 0 ? 0 : std::sqrt(variance) * at_index(fresh, i));
      // x_0 is of the order of 1 / signal, up to 160, and its coefficient has four digits less.
      EXPECT_TRUE(std::abs(at_index(back, i) - expected) <= 1e-10) << t;
    }
  }
}

// A DiT with its initial weights predicts 0: 1.000 of the noise and 0.0157 bits.
TEST(Diffusion, LossOfNothingIsKnown) {
  const Diffusion diffusion(NoiseSchedule::linear());
  const Tensor t = at::arange(1000, at::kLong).repeat({4});
  const Tensor x0 = random({4000, 8, 8, 4}, 1), noise = random({4000, 8, 8, 4}, 2);
  const DiffusionLoss loss =
      diffusion.loss(at::zeros({4000, 8, 8, 8}, at::kDouble), x0, diffusion.noised(x0, t, noise), t, noise);
  // 1e6 squares of variance 2; the bound is far from the middle at few steps only.
  EXPECT_TRUE(std::abs(loss.mse.mean().item<double>() - 1) <= 0.006);
  EXPECT_TRUE(std::abs(loss.bound.mean().item<double>() - 0.0157) <= 0.0005);
}

// A model that knows x_0 leads there from anything, over all steps or few.
TEST(Diffusion, SamplesWhatTheModelKnows) {
  const Diffusion diffusion(NoiseSchedule::linear().respaced(25));
  const Tensor x0 = random({2, 3, 4, 2}, 1);
  std::vector<int64_t> asked, noisy;
  const NoiseSchedule all = NoiseSchedule::linear();
  const auto knows = [&](const Tensor& x, const Tensor& t) {
    const int64_t step = t[0].item<int64_t>();
    asked.push_back(step);
    return at::cat({(x - all.signal[step] * x0) / all.noise[step], at::zeros_like(x)}, -1);
  };
  const Tensor out = diffusion.sample(knows, random({2, 3, 4, 2}, 2), [&](int64_t k) {
    noisy.push_back(k);
    return random({2, 3, 4, 2}, 10 + k);
  });
  EXPECT_TRUE((out - x0).abs().max().item<double>() <= 1e-10);
  const std::vector<int64_t>& steps = diffusion.schedule().timesteps;
  EXPECT_EQ(asked, std::vector<int64_t>(steps.rbegin(), steps.rend()));
  EXPECT_EQ(noisy.size(), 24u);
  EXPECT_EQ(noisy.back(), 1);
}

TEST(Guidance, IsOfTheFirstChannels) {
  const Tensor x = random({2, 3, 3, 4}, 1), t = at::tensor(std::vector<int64_t>{7, 7});
  const Tensor with = random({2, 3, 3, 8}, 2), without = random({2, 3, 3, 8}, 3);
  const auto both = [&](const Tensor& xx, const Tensor& tt) {
    EXPECT_TRUE(at::equal(xx, at::cat({x, x})));
    EXPECT_EQ(tt.size(0), 4);
    return at::cat({with, without});
  };
  for (const int64_t channels : {3, 0}) {
    const Tensor out = guided(both, 1.5, channels)(x, t);
    const int64_t guide = channels == 0 ? 4 : channels;
    const Tensor c = with.narrow(-1, 0, guide), u = without.narrow(-1, 0, guide);
    EXPECT_TRUE((out.narrow(-1, 0, guide) - (1.5 * c - 0.5 * u)).abs().max().item<double>() <= 1e-14);
    EXPECT_TRUE(at::equal(out.narrow(-1, guide, 8 - guide), with.narrow(-1, guide, 8 - guide)));
  }
}

}  // namespace
}  // namespace seednorm::lab
