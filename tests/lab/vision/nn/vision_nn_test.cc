#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "lab/vision/nn/drop_path.h"
#include "lab/vision/nn/patch_conv.h"
#include "lab/vision/nn/self_attention.h"
#include "lab/vision/nn/transformer_block.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}

void randomize(torch::nn::Module& module) {
  const at::NoGradGuard no_grad;
  uint64_t seed = 100;
  for (Tensor p : module.parameters()) p.copy_(random(p.sizes(), seed++) * 0.3);
}

double max_difference(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// Heights, widths and channels all differ, so that no axis can be mistaken for another.
TEST(PatchConv, IsAConvolution) {
  PatchConv conv(5, 7, 3);
  randomize(conv);
  for (const bool fills : {true, false}) {
    const Tensor x = random({2, 6 + (fills ? 0 : 1), 12 + (fills ? 0 : 2), 5}, 1);
    const Tensor expected = at::conv2d(x.permute({0, 3, 1, 2}), conv.weight, conv.bias, 3);
    const Tensor y = conv.forward(x);
    ASSERT_EQ(y.sizes(), (std::vector<int64_t>{2, 2, 4, 7}));
    // Sums of 45 products of about 0.3, in another order.
    EXPECT_TRUE(max_difference(y, expected.permute({0, 2, 3, 1})) <= 1e-5);
  }
}

TEST(SelfAttention, IsTheFormula) {
  const int64_t heads = 3, width = 4, dim = heads * width, tokens = 5;
  SelfAttention attention(dim, heads);
  randomize(attention);
  const auto p = attention.named_parameters();
  const Tensor x = random({2, tokens, dim}, 2);
  const Tensor qkv = (at::matmul(x, p["qkv.weight"].t()) + p["qkv.bias"]).view({2, tokens, 3, heads, width});
  const Tensor q = qkv.select(2, 0).transpose(1, 2), k = qkv.select(2, 1).transpose(1, 2),
               v = qkv.select(2, 2).transpose(1, 2);
  const Tensor weights = at::softmax(at::matmul(q, k.transpose(2, 3)) / 2, -1);  // sqrt(width) = 2
  const Tensor mixed = at::matmul(weights, v).transpose(1, 2).reshape({2, tokens, dim});
  const Tensor expected = at::matmul(mixed, p["proj.weight"].t()) + p["proj.bias"];
  EXPECT_TRUE(max_difference(attention.forward(x), expected) <= 1e-5);
}

TEST(SelfAttention, RefusesHeadsThatDoNotDivideTheWidth) {
  EXPECT_THROW(SelfAttention(10, 3), std::invalid_argument);
  EXPECT_THROW(SelfAttention(10, 0), std::invalid_argument);
}

// Without drop path: x + attention(norm1 x), and on with mlp; the branch that is not added yet included.
TEST(TransformerBlock, IsTheFormula) {
  TransformerBlock block(8, 2, 12, NormSpec::parse("layer_norm"));
  randomize(block);
  const auto p = block.named_parameters();
  const auto norm = [&](const Tensor& x, const std::string& name) {
    return at::layer_norm(x, {8}, p[name + ".weight"], p[name + ".bias"], 1e-6);
  };
  const auto dense = [&](const Tensor& x, const std::string& name) {
    return at::linear(x, p[name + ".weight"], p[name + ".bias"]);
  };
  SelfAttention attention(8, 2);
  for (auto& q : attention.named_parameters()) q.value().data().copy_(p["attn." + q.key()].data());
  const Tensor x = random({3, 5, 8}, 3), branch = random({3, 5, 8}, 4);
  const Tensor h = x + branch, a = h + attention.forward(norm(h, "norm1"));
  const Tensor expected = a + dense(at::gelu(dense(norm(a, "norm2"), "mlp.fc1")), "mlp.fc2");
  const Tensor y = block.forward({x, branch}, DropPath({0, 0}, 3, {}), 0).sum();
  EXPECT_TRUE(max_difference(y, expected) <= 1e-5);
}

TEST(DropPath, RatesRiseFromZero) {
  EXPECT_EQ(drop_path_rates(0.6, 4), (std::vector<double>{0, 0.6 * 1 / 3, 0.6 * 2 / 3, 0.6}));
  EXPECT_EQ(drop_path_rates(0.6, 1), (std::vector<double>{0}));
}

TEST(DropPath, DependsOnSeedStepAndRowAlone) {
  const std::vector<double> rates = {0, 0.5, 0.25};
  const Tensor ones = at::ones({8, 2, 3});
  const Pass pass = {.training = true, .seed = 5, .step = 7, .first_row = 0};
  const DropPath whole(rates, 8, pass);
  const DropPath half(rates, 4, {.training = true, .seed = 5, .step = 7, .first_row = 4});
  for (int64_t b = 0; b < 3; ++b) {
    EXPECT_TRUE(at::equal(whole.apply(ones, b).narrow(0, 4, 4), half.apply(ones.narrow(0, 4, 4), b)));
  }
  EXPECT_FALSE(at::equal(whole.apply(ones, 1), DropPath(rates, 8, {true, 6, 7, 0}).apply(ones, 1)));
  EXPECT_FALSE(at::equal(whole.apply(ones, 1), DropPath(rates, 8, {true, 5, 8, 0}).apply(ones, 1)));
  EXPECT_TRUE(at::equal(DropPath(rates, 8, {}).apply(ones, 1), ones)) << "not in training";
}

TEST(DropPath, KeepsTheMean) {
  const int64_t rows = 40000;
  const Tensor y = DropPath({0.25}, rows, {.training = true}).apply(at::ones({rows, 1}), 0);
  EXPECT_TRUE(at::logical_or(y == 0, (y - 4.0 / 3).abs() < 1e-6).all().item<bool>());
  // Six standard deviations of the mean of that many: sqrt((1/keep - 1) / rows).
  EXPECT_TRUE(std::abs(y.mean().item<double>() - 1) <= 6 * std::sqrt((4.0 / 3 - 1) / rows));
}

}  // namespace
}  // namespace seednorm::lab
