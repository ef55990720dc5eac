// What language models do besides training steps, in plain tensors: caches, packed sequences, single experts;
// and the errors of tensors on devices that the code is not for.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <stdexcept>
#include <string>

#include "lab/language/models/model.h"
#include "lab/nn/cpu/few_rows.h"
#include "lab/nn/device.h"
#include "tests/lab/language/small_model.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}
Tensor tokens(int64_t rows, int64_t length) {
  return at::randint(50, {rows, length}, at::detail::createCPUGenerator(5), at::kLong);
}

// Float32 sums of at most 50 terms in each of the 20 layers of operators between tokens and logits, whose
// sizes are of the order of the result's.
void expect_close(const Tensor& got, const Tensor& want, const std::string& what) {
  const double error = (got - want).abs().max().item<double>(), size = want.abs().max().item<double>();
  EXPECT_TRUE(error <= 1000 * 0x1p-24 * size) << what << ": " << error << " of " << size;
}

TEST(PlainTensors, RopeAtGivenPositions) {
  const Rope rope(8, 16, 10000);
  const Tensor x = random({3, 4, 2, 8}, 1);
  for (const std::vector<int64_t>& first : {std::vector<int64_t>{}, {0, 5, 12}}) {
    const at::NoGradGuard no_grad;
    const Tensor want = rope.apply(x, first);
    const PlainTensors plain;
    EXPECT_TRUE((rope.apply(x, first) - want).abs().max().item<double>() <= 0x1p-22);
    EXPECT_EQ(rope.apply(x.to(at::kBFloat16), first).scalar_type(), at::kBFloat16);
  }
}

class PlainModels : public testing::TestWithParam<std::string> {};

// Sequences of different lengths side by side, continued by several tokens and by one.
TEST_P(PlainModels, Generate) {
  Model model(small_model(GetParam(), "seed_norm(num_heads=2)"), 1);
  const at::NoGradGuard no_grad;
  const Tensor in = tokens(3, 12);
  const auto logits = [&] {
    std::vector<KvCache> alone;
    for (int64_t row = 0; row < 3; ++row) {
      alone.push_back(model.make_cache(1, 14));
      model.hidden(in.narrow(0, row, 1).narrow(1, 0, 4 + 2 * row), alone.back());
    }
    KvCache all = KvCache::join(alone).select({2, 0, 1});
    const Tensor next = in.narrow(1, 9, 3).index_select(0, at::tensor({2, 0, 1}));
    const Tensor some = model.hidden(next.narrow(1, 0, 2), all);
    return model.project(at::cat({some, model.hidden(next.narrow(1, 2, 1), all)}, 1));
  };
  const Tensor want = logits();
  const PlainTensors plain;
  expect_close(logits(), want, GetParam());
}

TEST_P(PlainModels, PackSequences) {
  Model model(small_model(GetParam(), "rms_norm"), 1);
  const at::NoGradGuard no_grad;
  const Packing packing({{.trunk = 3, .branches = {2, 0, 4}}, {.trunk = 5, .branches = {}}});
  const Tensor in = tokens(1, packing.num_tokens());
  const Tensor want = model.hidden(in, packing);
  const PlainTensors plain;
  expect_close(model.hidden(in, packing), want, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Families, PlainModels, testing::Values("olmo2", "olmoe"));

// Widths that libtorch's grouped products refuse: one expert after the other. With more experts than tokens
// some get none, and their gradients are 0.
TEST(PlainTensors, ExpertsOneByOne) {
  for (const int64_t hidden : {5, 8}) {
    Moe moe({.dim = 16, .hidden = hidden, .num_experts = 30, .top_k = 2});
    {
      const at::NoGradGuard no_grad;
      uint64_t seed = 1;
      for (const Tensor& p : moe.parameters()) Tensor(p).copy_(random(p.sizes(), seed++));
    }
    std::vector<Tensor> inputs = moe.parameters();
    inputs.push_back(random({1, 7, 16}, 9).requires_grad_(true));
    const auto results = [&] {
      const Tensor y = moe.forward(inputs.back(), nullptr);
      std::vector<Tensor> out = torch::autograd::grad({(y * random({1, 7, 16}, 10)).sum()}, inputs);
      out.push_back(y.detach());
      return out;
    };
    const std::vector<Tensor> want = results();
    const PlainTensors plain;
    const std::vector<Tensor> got = results();
    for (size_t i = 0; i < want.size(); ++i) expect_close(got[i], want[i], std::to_string(i));
    EXPECT_TRUE(got[1].flatten(1).abs().sum(1).eq(0).any().item<bool>()) << "an expert that nobody chose";
  }
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Devices, ErrorsNameOperationAndDevice) {
  const at::NoGradGuard no_grad;
  const Tensor x = random({2, 3, 2, 8}, 1), there = at::empty({2, 8}, at::kMeta);
  EXPECT_EQ(message_of([&] { few_rows_product(x, there); }),
            "product of few rows: no code for device meta; expected all tensors on the CPU");

  NormLayer norm(NormSpec::parse("rms_norm"), 8);
  EXPECT_EQ(message_of([&] {
              norm.forward(at::empty({2, 8}, at::kMeta));
            }),
            "[rms_norm] norm: no code for x on device meta and gamma on device cpu");
  EXPECT_EQ(message_of([&] {
              norm.add(random({2, 8}, 2), there);
            }),
            "[rms_norm] norm: no code for x on device cpu and residual on device meta");

  const KvCache cache({.num_layers = 1, .rows = 1, .kv_heads = 2, .capacity = 4, .head_width = 8},
                      at::kFloat);
  EXPECT_EQ(message_of([&] {
              const Tensor k = at::empty({1, 3, 2, 8}, at::kMeta);
              cache.layer(0).append(k, k);
            }),
            "cache of keys and values: no code for device meta; expected all tensors on the CPU");
}

}  // namespace
}  // namespace seednorm::lab
