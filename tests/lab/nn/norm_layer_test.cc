// Norms as layers: their parameters are named, and decayed, as the norms' own descriptions say.
#include "lab/nn/norm_layer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "seednorm/norm.h"

namespace seednorm::lab {
namespace {

TEST(NormLayer, ParametersFollowTheDescription) {
  for (const std::string& name : norm_names()) {
    const NormInfo& info = norm_info(name);
    if (info.needs_condition()) {
      EXPECT_THROW(NormLayer(NormSpec::parse(name), 8), std::invalid_argument) << name;
      continue;
    }
    const NormLayer layer(NormSpec::parse(name), 8);
    EXPECT_EQ(layer.params().size(), info.params().size()) << name;
    const auto tensors = layer.named_parameters(/*recurse=*/false);
    EXPECT_EQ(tensors.size(), info.params().size()) << name;
    for (const NormParamInfo& p : info.params()) {
      EXPECT_TRUE(tensors.contains(p.state_name)) << name << " " << p.state_name;
      const Role wanted = p.role == ParamRole::kDynamic ? Role::kDynamic : Role::kGain;
      EXPECT_EQ(layer.role(p.state_name), wanted) << name << " " << p.state_name;
    }
  }
}

// GatedNorm in plain tensors: y sigmoid(W_up silu(W_down y)).
TEST(NormLayer, AGateMultipliesTheNorm) {
  const int64_t dim = 12;
  const auto random = [](at::IntArrayRef shape, uint64_t seed) {
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
  };
  for (const char* name : {"rms_norm", "seed_norm(num_heads=2)", "dyt"}) {
    NormLayer plain(NormSpec::parse(name), dim);
    const std::string text = std::string(name).ends_with(")")
                                 ? std::string(name, std::string(name).size() - 1) + ", gate_rank=3)"
                                 : std::string(name) + "(gate_rank=3)";
    NormLayer gated(NormSpec::parse(text), dim);
    EXPECT_EQ(gated.spec().text(), text);
    EXPECT_EQ(NormSpec::parse(name).gate_rank, 0);
    EXPECT_EQ(plain.parameters().size() + 2, gated.parameters().size());
    auto p = gated.named_parameters();
    {
      const at::NoGradGuard no_grad;
      p["gate_down.weight"].copy_(random({3, dim}, 1));
      p["gate_up.weight"].copy_(random({dim, 3}, 2));
    }
    const at::Tensor x = random({2, 5, dim}, 3), residual = random({2, 5, dim}, 4);
    const auto want = [&](const at::Tensor& y) {
      const at::Tensor inner = at::silu(y.matmul(p["gate_down.weight"].t()));
      return y * inner.matmul(p["gate_up.weight"].t()).sigmoid();
    };
    const at::Tensor y = gated.forward(x);
    // Sums of 12 and of 3 terms of order 1 in float32.
    EXPECT_LT((y - want(plain.forward(x))).abs().max().item<float>(), 1e-5) << name;
    const auto [added, sum] = gated.add(x, residual);
    EXPECT_LT((added - want(plain.forward(x + residual))).abs().max().item<float>(), 1e-5) << name;
    EXPECT_TRUE(at::equal(sum, x + residual));
    const auto gradients =
        torch::autograd::grad({y.sum()}, {p["gate_down.weight"], p["gate_up.weight"], p["weight"]});
    for (const at::Tensor& g : gradients) EXPECT_GT(g.abs().max().item<float>(), 0) << name;
  }
  EXPECT_THROW(NormSpec::parse("rms_norm(gate_rank=-1)"), std::invalid_argument);
}

// In an adaptive norm gain and offset are the sample's: those of a channel are no parameters.
TEST(NormLayer, AffinePartOfTheSample) {
  for (const auto& [name, params] :
       std::map<std::string, std::vector<std::string>>{{"layer_norm", {}},
                                                       {"rms_norm", {}},
                                                       {"dyt", {"alpha"}},
                                                       {"seed_norm(num_heads=2)", {"alpha", "beta"}},
                                                       {"ada_seed_norm(num_heads=2)", {"alpha", "beta"}}}) {
    NormLayer layer(NormSpec::parse(name), 8, Affine::kOfSample);
    EXPECT_EQ(layer.named_parameters(/*recurse=*/false).keys(), params) << name;
  }
}

at::Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}

// Eq. 8 by SeeDNorm with a gain of 1 and a modulation behind it, and by the kernel of AdaSeeDNorm.
TEST(NormLayer, AdaSeeDNormIsSeeDNormWithAModulation) {
  const int64_t samples = 3, tokens = 5, dim = 8;
  std::vector<std::vector<at::Tensor>> results;
  for (const char* name : {"seed_norm(num_heads=2)", "ada_seed_norm(num_heads=2)"}) {
    NormLayer layer(NormSpec::parse(name), dim, Affine::kOfSample);
    {
      const at::NoGradGuard no_grad;
      auto p = layer.named_parameters();
      p["alpha"].copy_(random({dim}, 1));
      p["beta"].copy_(random({dim}, 2));
    }
    // Scale and shift are parts of wider rows, as the linear layer of a block makes them.
    at::Tensor x = random({samples, tokens, dim}, 3).requires_grad_(true),
               condition = random({samples, 2 * dim}, 4).requires_grad_(true);
    const at::Tensor scale = condition.narrow(1, 0, dim), shift = condition.narrow(1, dim, dim);
    const at::Tensor y = layer.forward(x, scale, shift);
    std::vector<at::Tensor> inputs = layer.parameters();
    inputs.insert(inputs.end(), {x, condition});
    results.push_back(torch::autograd::grad({(y * random({samples, tokens, dim}, 5)).sum()}, inputs));
    const at::NoGradGuard no_grad;
    results.back().push_back(y.detach());
    results.back().push_back(layer.forward(x, scale, shift));
  }
  for (size_t i = 0; i < results[0].size(); ++i) {
    // Sums of at most 15 products of a few units in float32.
    EXPECT_TRUE((results[0][i] - results[1][i]).abs().max().item<double>() <= 2e-5) << i;
  }
  EXPECT_TRUE(at::equal(results[1][4], results[1][5]));
}

// What the paper decays: alpha and beta, and not gamma (Section 3, Table 4).
TEST(NormLayer, RolesOfSeeDNorm) {
  const NormLayer layer(NormSpec::parse("seed_norm"), 8);
  EXPECT_EQ(layer.role("weight"), Role::kGain);
  EXPECT_EQ(layer.role("alpha"), Role::kDynamic);
  EXPECT_EQ(layer.role("beta"), Role::kDynamic);
}

// Appendix D.2 divides by "the dimension": of a head, or of the whole width.
TEST(NormLayer, BothReadingsOfTheDivisor) {
  EXPECT_EQ(
      NormLayer(NormSpec::parse("seed_norm(num_heads=4, dot_scale=1/d)"), 32).layer().options().dot_scale,
      1.0 / 8);
  EXPECT_EQ(
      NormLayer(NormSpec::parse("seed_norm(num_heads=4, dot_scale=1/D)"), 32).layer().options().dot_scale,
      1.0 / 32);
  for (const char* text :
       {"seed_norm(dot_scale=1/d)", "seed_norm(dot_scale=1/D)", "seed_norm(dropout=0.25)"}) {
    EXPECT_EQ(NormSpec::parse(text).text(), text);
  }
}

TEST(NormLayer, DropoutOfTheDynamicCoefficient) {
  at::manual_seed(1);
  NormLayer layer(NormSpec::parse("seed_norm(num_heads=2, dropout=0.5)"), 32);
  NormLayer plain(NormSpec::parse("seed_norm(num_heads=2)"), 32);
  for (NormLayer* l : {&layer, &plain}) {
    const at::NoGradGuard no_grad;
    at::Tensor beta = l->param(Param::kBeta);
    beta.fill_(0.3);
  }
  const at::Tensor x = at::randn({5, 32}), w = at::randn({5, 32});
  EXPECT_TRUE(at::equal(layer.forward(x), plain.forward(x))) << "nothing is dropped outside of training";

  layer.set_dropout_draws(DropoutDraws{.seed = 3, .offset = 4});
  const at::Tensor y = layer.forward(x);
  EXPECT_FALSE(at::equal(y, plain.forward(x)));
  EXPECT_TRUE(at::equal(y, layer.forward(x)));
  EXPECT_TRUE(at::equal(y, layer.add(x, at::zeros_like(x)).first));
  {
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(y, layer.forward(x)));
  }
  // y is linear in alpha: the gradient is right only if backward drops what forward dropped.
  const at::Tensor alpha = layer.param(Param::kAlpha);
  torch::autograd::backward({(y * w).sum()});
  const double by_gradient = (alpha.grad() * alpha).sum().item<double>();
  const double with = (y * w).sum().item<double>();
  {
    const at::NoGradGuard no_grad;
    at::Tensor(alpha).zero_();
  }
  const double without = (layer.forward(x) * w).sum().item<double>();
  // Sums of 160 numbers of size 1 in float32.
  EXPECT_TRUE(std::abs(by_gradient - (with - without)) <= 1e-4);

  layer.set_dropout_draws(DropoutDraws{.seed = 4, .offset = 4});
  EXPECT_FALSE(at::equal(y, layer.forward(x)));
}

// The observer sees what the norm normalizes, before the scale; add returns the sum without the scale.
TEST(NormLayer, ObserversAndScalesOfTheInput) {
  for (const char* name : {"rms_norm", "layer_norm", "seed_norm(num_heads=2)", "dyt"}) {
    SCOPED_TRACE(name);
    NormLayer layer(NormSpec::parse(name), 8);
    const at::NoGradGuard no_grad;
    if (at::Tensor beta = layer.param(Param::kBeta); beta.defined()) beta.copy_(random({8}, 1));
    const at::Tensor x = random({5, 8}, 2), residual = random({5, 8}, 3), sum = x + residual;
    const at::Tensor plain = layer.forward(x), four_x = layer.forward(4 * x),
                     four_sum = layer.forward(4 * sum);
    std::vector<at::Tensor> seen;
    layer.set_observer([&](const at::Tensor& input) { seen.push_back(input); });
    layer.set_input_scale(4);
    EXPECT_TRUE(at::equal(layer.forward(x), four_x));
    const auto [y, kept] = layer.add(x, residual);
    EXPECT_TRUE(at::equal(y, four_sum));
    EXPECT_TRUE(at::equal(kept, sum));
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_TRUE(at::equal(seen[0], x) && at::equal(seen[1], sum));
    layer.set_observer({});
    layer.set_input_scale(1);
    EXPECT_TRUE(at::equal(layer.forward(x), plain));
    EXPECT_EQ(seen.size(), 2u);
  }
}

// A norm of queries has a row for each head of a token: all heads are sampled, whatever their number.
TEST(NormLayer, TelemetrySamplesAllRowsOfAToken) {
  NormLayer layer(NormSpec::parse("seed_norm"), 4);
  const at::NoGradGuard no_grad;
  at::Tensor(layer.param(Param::kBeta)).fill_(0.25);
  at::Tensor x = at::zeros({1, 1024, 4, 4});
  x.select(2, 1).fill_(10);  // one of four heads is saturated
  layer.set_watching(true);
  layer.forward(x);
  EXPECT_DOUBLE_EQ(layer.dynamic_stats()->saturated, 0.25);
}

}  // namespace
}  // namespace seednorm::lab
