#include "lab/vision/models/dit.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "lab/vision/diffusion/diffusion.h"
#include "lab/vision/nn/sincos_positions.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}

Tensor numbers(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

int64_t num_params(const Dit& model) {
  int64_t out = 0;
  for (const ParamInfo& p : model.params()) out += p.tensor.numel();
  return out;
}

DitConfig small() {
  DitConfig c;
  c.input_size = 8;
  c.channels = 3;
  c.patch_size = 2;
  c.num_classes = 5;
  c.dim = 24;
  c.num_layers = 2;
  c.num_heads = 3;
  c.ffn_dim = 40;
  return c;
}

constexpr const char* kNorms[] = {"layer_norm", "rms_norm", "dyt", "seed_norm(num_heads=4)",
                                  "ada_seed_norm(num_heads=4)"};

// The table of the paper's models; a norm has no gain and no offset of its own.
TEST(Dit, ParameterCounts) {
  struct Size {
    int64_t patch, dim, layers, heads, layer_norm, ada_seed_norm, dyt;
  };
  for (const Size& s : {Size{4, 768, 12, 12, 130'426'496, 130'464'896, 130'426'521},
                        Size{2, 1152, 28, 16, 674'834'720, 674'966'048, 674'834'777}}) {
    DitConfig c;
    c.patch_size = s.patch;
    c.dim = s.dim;
    c.num_layers = s.layers;
    c.num_heads = s.heads;
    c.ffn_dim = 4 * s.dim;
    for (const auto& [norm, expected] : {std::pair{"layer_norm", s.layer_norm},
                                         {"rms_norm", s.layer_norm},
                                         {"ada_seed_norm", s.ada_seed_norm},
                                         {"dyt", s.dyt}}) {
      c.norms.set_all(NormSpec::parse(norm));
      const Dit model(c);
      EXPECT_EQ(num_params(model), expected) << norm;
      EXPECT_EQ(static_cast<int64_t>(model.norms().size()), 2 * s.layers + 1);
    }
    EXPECT_TRUE(std::abs(c.estimated_params() / static_cast<double>(s.layer_norm) - 1) <= 0.01);
  }
  DitConfig c;
  c.patch_size = 2;
  c.dim = 384;
  c.num_heads = 6;
  c.ffn_dim = 1536;
  EXPECT_EQ(num_params(Dit(c)), 32'865'056);
}

TEST(SincosPositions, AreKnown) {
  const Tensor positions = sincos_positions(768, 14);
  ASSERT_EQ(positions.sizes(), (std::vector<int64_t>{196, 768}));
  const Tensor below = positions[14];  // row 1, column 0
  const auto value = [&](int64_t i) { return below[i].item<double>(); };
  for (const auto& [channel, expected] : std::map<int64_t, double>{
           {0, 0}, {1, 0}, {384, 0.8414710}, {385, 0.8152506}, {576, 0.5403023}, {577, 0.5791082}}) {
    EXPECT_TRUE(std::abs(value(channel) - expected) <= 1e-7) << channel;
  }
  // A column further the first half does the same.
  EXPECT_TRUE(at::equal(positions[1].narrow(0, 0, 384), below.narrow(0, 384, 384)));
  EXPECT_THROW(sincos_positions(10, 4), std::invalid_argument);
}

// So that the loss begins at 1.000 + 0.0157, whatever the norm.
TEST(Dit, PredictsNothingAtFirst) {
  for (const char* norm : kNorms) {
    DitConfig c = small();
    c.norms.set_all(NormSpec::parse(norm));
    Dit model(c);
    model.initialize(1);
    const Tensor out = model.forward(random({2, 8, 8, 3}, 1), numbers({0, 999}), numbers({0, 5}));
    EXPECT_EQ(out.sizes(), (std::vector<int64_t>{2, 8, 8, 6})) << norm;
    EXPECT_EQ(out.abs().max().item<float>(), 0) << norm;
  }
  DitConfig c = small();
  c.zero_init = false;
  Dit model(c);
  model.initialize(1);
  EXPECT_GT(
      model.forward(random({2, 8, 8, 3}, 1), numbers({0, 999}), numbers({0, 5})).abs().max().item<float>(),
      0.1F);
}

void randomize(Dit& model) {
  const at::NoGradGuard no_grad;
  uint64_t seed = 100;
  for (Tensor p : model.parameters()) p.copy_(random(p.sizes(), seed++) * 0.2);
}

// Every parameter learns, the picture at its own place, and label and timestep matter.
TEST(Dit, EverythingIsConnected) {
  for (const char* norm : kNorms) {
    DitConfig c = small();
    c.norms.set_all(NormSpec::parse(norm));
    Dit model(c);
    randomize(model);
    const Tensor x = random({2, 8, 8, 3}, 1);
    const Tensor out = model.forward(x, numbers({3, 500}), numbers({1, 4}));
    const auto gradients = torch::autograd::grad({out.pow(2).sum()}, model.parameters());
    for (size_t i = 0; i < gradients.size(); ++i) {
      EXPECT_GT(gradients[i].abs().max().item<float>(), 0) << norm << " " << model.params()[i].name;
    }
    const at::NoGradGuard no_grad;
    const auto difference = [&](const Tensor& t, const Tensor& labels) {
      return (model.forward(x, t, labels) - out).abs().flatten(1).amax(1);
    };
    EXPECT_GT(difference(numbers({4, 501}), numbers({1, 4})).min().item<float>(), 1e-4F) << norm;
    EXPECT_GT(difference(numbers({3, 500}), numbers({2, 5})).min().item<float>(), 1e-4F) << norm;
    // The second sample is not the first one's business.
    EXPECT_TRUE(difference(numbers({3, 7}), numbers({1, 0}))[0].item<float>() <= 1e-5F) << norm;
  }
}

TEST(Dit, NormsShareTheOtherWeights) {
  std::map<std::string, Tensor> first;
  for (const char* norm : kNorms) {
    DitConfig c = small();
    c.norms.set_all(NormSpec::parse(norm));
    Dit model(c);
    model.initialize(7);
    for (const ParamInfo& p : model.params()) {
      if (p.name.find("norm") != std::string::npos) continue;
      const auto [found, is_new] = first.emplace(p.name, p.tensor);
      EXPECT_TRUE(at::equal(found->second, p.tensor)) << norm << " " << p.name;
    }
  }
}

TEST(Dit, RefusesSizesThatCannotBe) {
  const auto message = [](void (*change)(DitConfig&)) -> std::string {
    DitConfig c = small();
    change(c);
    try {
      Dit model(c);
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message([](DitConfig& c) { c.patch_size = 3; }),
            "patch_size: expected a divisor of input_size = 8, got 3");
  EXPECT_EQ(message([](DitConfig& c) { c.num_heads = 5; }),
            "num_heads: expected a divisor of the width 24, got 5");
  EXPECT_EQ(message([](DitConfig& c) { c.dim = 26; }),
            "dim: expected a multiple of 4, for fixed positions, got 26");
  EXPECT_TRUE(message([](DitConfig& c) {
                c.norms["final"] = NormSpec::parse("seed_norm(num_heads=7)");
              }).starts_with("norm.final: final_layer.norm_final, of width 24: "));
}

TEST(Dit, WorksInBFloat16) {
  DitConfig c = small();
  c.norms.set_all(NormSpec::parse("ada_seed_norm(num_heads=4)"));
  Dit model(c);
  randomize(model);
  const Tensor x = random({2, 8, 8, 3}, 1);
  const Tensor exact = model.forward(x, numbers({3, 500}), numbers({1, 4}));
  model.set_dtype(at::kBFloat16);
  const Tensor rounded = model.forward(x, numbers({3, 500}), numbers({1, 4}));
  // Some ten roundings of 2^-9 on the way, of numbers of about 1.
  EXPECT_TRUE((exact - rounded).abs().max().item<float>() <= 0.1F * exact.abs().max().item<float>());
}

}  // namespace
}  // namespace seednorm::lab
