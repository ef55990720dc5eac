// Muon: the iteration, the step, and the parameters that it is for. muon_parity_test.py compares it with
// torch.optim.Muon.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "lab/nn/device.h"
#include "lab/train/muon.h"
#include "lab/train/optimizer.h"
#include "lab/train/threads.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// The iteration in double, written out.
Tensor iterated(const Tensor& matrix) {
  Tensor x = matrix.to(at::kDouble);
  x = x / x.norm();
  for (int i = 0; i < 5; ++i) {
    const Tensor gram = x.matmul(x.t());
    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram.matmul(gram)).matmul(x);
  }
  return x;
}

Tensor difference(const Tensor& a, const Tensor& b) { return (a.to(at::kDouble) - b.to(at::kDouble)).norm(); }

// The iteration multiplies an error by at most 3.4445 in each of five steps, 485 in all. The errors are those
// of sums of up to 260 terms in float32, about 1e-6 of the matrix.
constexpr double kIterationBound = 5e-4;

TEST(Muon, IsTheIterationInDouble) {
  at::manual_seed(0);
  for (const auto& [rows, cols] :
       {std::pair{40, 260}, std::pair{260, 40}, std::pair{64, 64}, std::pair{1, 9}, std::pair{9, 1}}) {
    const Tensor matrix = at::randn({rows, cols}), want = iterated(matrix);
    const Tensor got = orthogonalized(matrix);
    EXPECT_TRUE(difference(got, want).item<double>() <= kIterationBound * want.norm().item<double>())
        << rows << " x " << cols;
    // Whatever the size of the gradient.
    EXPECT_TRUE(difference(orthogonalized(matrix * 1e-6), want).item<double>() <=
                kIterationBound * want.norm().item<double>())
        << rows << " x " << cols;
  }
}

TEST(Muon, SingularValuesAreNearOne) {
  at::manual_seed(1);
  const Tensor values = at::linalg_svdvals(orthogonalized(at::randn({30, 90})));
  EXPECT_GT(values.min().item<float>(), 0.6F);
  EXPECT_LT(values.max().item<float>(), 1.3F);
  EXPECT_EQ(orthogonalized(at::zeros({3, 5})).abs().max().item<float>(), 0);
}

TEST(Muon, DoesNotDependOnTheNumberOfThreads) {
  at::manual_seed(2);
  const Tensor start = at::randn({330, 521}), gradient = at::randn({330, 521}),
               momentum = at::randn({330, 521});
  std::vector<Tensor> params, momenta;
  const int threads = at::get_num_threads();
  for (const int count : {1, 2, 3}) {
    set_training_threads(count);
    params.push_back(start.clone());
    momenta.push_back(momentum.clone());
    muon_step(params.back(), gradient, momenta.back(), 0.01, 0.1, std::nullopt);
    EXPECT_TRUE(at::equal(params.back(), params[0]));
    EXPECT_TRUE(at::equal(momenta.back(), momenta[0]));
  }
  set_training_threads(threads);
}

TEST(Muon, StepsAlongTheMomentumAndDecaysTheWeights) {
  at::manual_seed(3);
  const double lr = 0.02, decay = 0.1;
  const Tensor start = at::randn({24, 50}), param = start.clone(), momentum = at::zeros({24, 50});
  Tensor want = start.to(at::kDouble), average = at::zeros({24, 50}, at::kDouble);
  for (int i = 0; i < 3; ++i) {
    const Tensor gradient = at::randn({24, 50});
    muon_step(param, gradient, momentum, lr, decay, std::nullopt);
    average = 0.95 * average + 0.05 * gradient.to(at::kDouble);
    const Tensor update = iterated(0.95 * average + 0.05 * gradient.to(at::kDouble));
    want = (1 - lr * decay) * want - 0.2 * std::sqrt(50.0) * lr * update;
  }
  EXPECT_LT(difference(momentum, average).item<double>(), 1e-6 * average.norm().item<double>());
  const double moved = difference(want, start).item<double>();
  EXPECT_TRUE(difference(param, want).item<double>() <= kIterationBound * moved);
  // As large as AdamW's, 0.2 for an element (arXiv 2502.16982): the values of 24 of 50 directions are near 1.
  EXPECT_NEAR(orthogonalized(at::randn({24, 50})).norm().item<double>() * 0.2 / std::sqrt(24.0), 0.2, 0.05);
}

TEST(Muon, AStackIsItsMatrices) {
  at::manual_seed(4);
  const Tensor start = at::randn({3, 20, 30}), gradient = at::randn({3, 20, 30}),
               momentum = at::randn({3, 20, 30});
  const Tensor stack = start.clone(), stack_momentum = momentum.clone();
  muon_step(stack, gradient, stack_momentum, 0.01, 0.1, std::nullopt);
  for (int64_t e = 0; e < 3; ++e) {
    const Tensor one = start[e].clone(), one_momentum = momentum[e].clone();
    muon_step(one, gradient[e], one_momentum, 0.01, 0.1, std::nullopt);
    EXPECT_TRUE(at::equal(stack[e], one));
    EXPECT_TRUE(at::equal(stack_momentum[e], one_momentum));
  }
}

// On other devices the step is queued before anybody knows whether the gradient is finite.
TEST(Muon, AStepToSkipChangesNothing) {
  at::manual_seed(5);
  const Tensor start = at::randn({8, 9}), param = start.clone(), momentum = at::ones({8, 9});
  Tensor gradient = at::randn({8, 9});
  muon_step(param, gradient, momentum, 0.01, 0.1, at::zeros({}));
  EXPECT_FALSE(at::equal(param, start));
  const Tensor after = param.clone(), average = momentum.clone();
  gradient[1][2] = std::nanf("");
  muon_step(param, gradient, momentum, 0.01, 0.1, at::ones({}));
  EXPECT_TRUE(at::equal(param, after));
  EXPECT_TRUE(at::equal(momentum, average));
}

TEST(MuonGroups, AreTheMatricesOfBlocks) {
  const std::vector<ParamInfo> params = {
      {"model.embed_tokens.weight", at::ones({50, 8}), Role::kEmbedding},
      {"model.layers.0.mlp.up_proj.weight", at::ones({12, 8}), Role::kMatrix},
      {"model.layers.11.mlp.up_proj", at::ones({4, 12, 8}), Role::kMatrix},
      {"model.layers.0.norm.weight", at::ones({8}), Role::kGain},
      {"model.layers.0.norm.alpha", at::ones({8}), Role::kDynamic},
      {"model.layers.0.attention_site.alpha_fn", at::ones({4, 4}), Role::kDynamic},
      {"decoder_blocks.1.attn.qkv.weight", at::ones({24, 8}), Role::kMatrix},
      {"stages.0.blocks.0.conv_dw.weight", at::ones({8, 1, 7, 7}), Role::kMatrix},
      {"final_layer.linear.weight", at::ones({8, 8}), Role::kMatrix},
      {"t_embedder.mlp.0.weight", at::ones({8, 8}), Role::kMatrix},
      {"lm_head.weight", at::ones({50, 8}), Role::kMatrix}};
  TrainConfig config;
  for (const ParamGroup& g : param_groups(params, config)) EXPECT_EQ(g.method, Method::kAdamW);
  config.optimizer = Method::kMuon;
  std::vector<std::string> names;
  int64_t all = 0;
  for (const ParamGroup& g : param_groups(params, config)) {
    all += static_cast<int64_t>(g.params.size());
    if (g.method != Method::kMuon) continue;
    EXPECT_EQ(g.weight_decay, config.weight_decay);
    for (const ParamInfo& p : g.params) names.push_back(p.name);
  }
  EXPECT_EQ(all, static_cast<int64_t>(params.size()));
  EXPECT_EQ(names,
            (std::vector<std::string>{"model.layers.0.mlp.up_proj.weight", "model.layers.11.mlp.up_proj",
                                      "decoder_blocks.1.attn.qkv.weight"}));
}

TEST(MuonGroups, NeedLessMemory) {
  const std::vector<ParamInfo> params = {{"layers.0.a", at::ones({100, 10}), Role::kMatrix},
                                         {"head", at::ones({10, 10}), Role::kMatrix}};
  TrainConfig config;
  EXPECT_EQ(bytes_per_rank(param_groups(params, config), 1), 16 * 1100);
  EXPECT_EQ(bytes_per_rank(param_groups(params, config), 4), 10 * 1100);
  config.optimizer = Method::kMuon;
  EXPECT_EQ(bytes_per_rank(param_groups(params, config), 1), 12 * 1000 + 16 * 100);
}

}  // namespace
}  // namespace seednorm::lab
