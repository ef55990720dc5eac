// Layers that do in one function what libtorch's operators do one by one: equal to those, gradients too.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "lab/nn/cpu/product_choice.h"
#include "lab/nn/cpu/products.h"
#include "lab/nn/feed_forward.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor random(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble) {
  return at::randn(shape, at::kDouble).to(dtype).requires_grad_(true);
}

// The gradients of sum(y * w) for weights w of every kind.
std::vector<Tensor> gradients(const Tensor& y, const std::vector<Tensor>& inputs) {
  const Tensor weights = at::arange(y.numel(), at::kDouble).sin().view(y.sizes());
  return torch::autograd::grad({(y.to(at::kDouble) * weights).sum()}, inputs);
}

// Largest difference as a part of b's largest element.
double distance(const Tensor& a, const Tensor& b) {
  const Tensor wide = b.detach().to(at::kDouble);
  return ((a.detach().to(at::kDouble) - wide).abs().max() / wide.abs().max()).item<double>();
}

// Both in float64: what differs is the order of sums of some hundred terms.
constexpr double kSameInDouble = 1e-12;
// Inputs are the same; outputs are rounded once to 8 bits, and a float32 sum before it is exact to 1e-5.
constexpr double kRoundedToBFloat16 = 1.0 / 256;

TEST(SwiGlu, EqualsTheFormulaOverSeveralTiles) {
  at::manual_seed(0);
  constexpr int64_t kHidden = 2048, kDim = 12;
  SwiGlu layer(kDim, kHidden);
  std::vector<Tensor> in = {random({2, tile_rows(kHidden) + 5, kDim})};
  for (const auto& p : layer.named_parameters()) {
    const at::NoGradGuard no_grad;
    p.value().normal_();
    in.push_back(p.value());
  }
  const Tensor got = layer.forward(in[0]);
  const auto w = [&](int i) { return in[i].to(at::kDouble).t(); };
  const Tensor want = at::matmul(at::silu(at::matmul(in[0], w(1))) * at::matmul(in[0], w(2)), w(3));
  EXPECT_LT(distance(got, want), kSameInDouble);
  const auto dgot = gradients(got, in), dwant = gradients(want, in);
  EXPECT_LT(distance(dgot[0], dwant[0]), kSameInDouble);
  // The weights are float32, and so is the last step of their gradients.
  for (size_t i = 1; i < in.size(); ++i) EXPECT_LT(distance(dgot[i], dwant[i]), 1e-6) << i;
}

// Each token by itself, from the definition.
Tensor plain_experts(const Tensor& x, const std::vector<Tensor>& w, int64_t top_k) {
  const Tensor probabilities = at::softmax(at::matmul(x, w[0].t()), -1);
  const auto [weights, chosen] = at::topk(probabilities, top_k, -1);
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < x.size(0); ++t) {
    Tensor sum = at::zeros({x.size(1)}, x.options());
    for (int64_t j = 0; j < top_k; ++j) {
      const int64_t e = chosen[t][j].item<int64_t>();
      const Tensor hidden = at::silu(at::mv(w[1][e], x[t])) * at::mv(w[2][e], x[t]);
      sum = sum + weights[t][j] * at::mv(w[3][e], hidden);
    }
    rows.push_back(sum);
  }
  return at::stack(rows);
}

TEST(Moe, EqualsTheFormula) {
  at::manual_seed(0);
  Moe layer({.dim = 6, .hidden = 10, .num_experts = 5, .top_k = 2});
  std::vector<Tensor> in = {random({1, 40, 6}, at::kFloat)}, wide = {in[0].detach().to(at::kDouble)[0]};
  wide[0].requires_grad_(true);
  for (const char* name : {"gate.weight", "gate_proj", "up_proj", "down_proj"}) {
    const Tensor p = layer.named_parameters()[name];
    {
      const at::NoGradGuard no_grad;
      Tensor(p).normal_();
    }
    in.push_back(p);
    wide.push_back(p.detach().to(at::kDouble).requires_grad_(true));
  }
  const Tensor got = layer.forward(in[0], nullptr),
               want = plain_experts(wide[0], {wide.begin() + 1, wide.end()}, 2);
  // float32 against float64 through three products of 10 terms.
  constexpr double kFloat32 = 1e-5;
  EXPECT_LT(distance(got[0], want), kFloat32);
  const auto dgot = gradients(got, in), dwant = gradients(want, wide);
  for (size_t i = 0; i < in.size(); ++i) {
    EXPECT_LT(distance(dgot[i].view_as(dwant[i]), dwant[i]), kFloat32) << i;
  }
}

// Numbers of rows around those that products are padded to, and none.
TEST(Moe, InBFloat16WithAnyNumberOfRows) {
  at::manual_seed(0);
  const ProductChoice before = product_choice();
  constexpr int64_t kRowsOfExperts[] = {0, 1, 32, 33, 300, 257};
  constexpr int64_t kDim = 24, kHidden = 40, kExperts = std::size(kRowsOfExperts);
  Moe layer({.dim = kDim, .hidden = kHidden, .num_experts = kExperts, .top_k = 1});
  const auto params = layer.named_parameters();
  std::vector<Tensor> marks;
  for (int64_t e = 0; e < kExperts; ++e) {
    marks.push_back(8 * at::one_hot(at::full({kRowsOfExperts[e]}, e, at::kLong), kDim));
  }
  const Tensor tokens = at::cat(marks).index_select(0, at::randperm(623));
  const Tensor x = (tokens + 0.25 * at::randn(tokens.sizes())).to(at::kBFloat16).requires_grad_(true);
  const Tensor wide_x = x.detach().to(at::kDouble).requires_grad_(true);
  std::vector<Tensor> in = {x}, wide = {wide_x};
  for (const char* name : {"gate.weight", "gate_proj", "up_proj", "down_proj"}) {
    const at::NoGradGuard no_grad;
    Tensor p = params[name];
    // The marks decide which expert a token gets.
    if (name == std::string("gate.weight"))
      p.copy_(at::eye(kExperts, kDim));
    else
      p.normal_(0, 0.25).copy_(p.to(at::kBFloat16));
    in.push_back(p);
    wide.push_back(p.detach().to(at::kDouble).requires_grad_(true));
  }
  const Tensor want = plain_experts(wide_x, {wide.begin() + 1, wide.end()}, 1);
  const auto dwant = gradients(want, wide);
  for (const char* choice : {"bfloat16=onednn", "bfloat16=widened"}) {
    set_product_choice(ProductChoice::parse(choice));
    const Tensor got = layer.forward(x.unsqueeze(0), nullptr);
    // Each of four intermediate results is rounded to 8 bits.
    EXPECT_TRUE(distance(got[0], want) <= 4 * kRoundedToBFloat16) << choice;
    const auto dgot = gradients(got, in);
    for (size_t i = 0; i < in.size(); ++i) {
      if (i == 1) continue;  // the router's is a small difference of large terms
      EXPECT_TRUE(distance(dgot[i].view_as(dwant[i]), dwant[i]) <= 8 * kRoundedToBFloat16)
          << choice << " " << i;
    }
  }
  set_product_choice(before);
}

TEST(Product, NumbersOfRowsAreFewAndHardlyMore) {
  std::set<int64_t> all;
  for (int64_t count = 1; count <= 4096; ++count) {
    const int64_t padded = padded_rows(count);
    EXPECT_TRUE(padded >= count && padded < count + std::max<int64_t>(32, count / 8 + 1)) << count;
    EXPECT_EQ(padded_rows(padded), padded);
    all.insert(padded);
  }
  EXPECT_LE(all.size(), 48);
}

TEST(Product, OfBFloat16RowsWithFloat32Weights) {
  at::manual_seed(0);
  const Tensor x = random({3, 300, 40}, at::kBFloat16), w = random({2500, 40}, at::kFloat);
  const Tensor wx = x.detach().to(at::kDouble).requires_grad_(true);
  const Tensor ww = (product_dtype(at::kBFloat16) == at::kFloat ? w : w.to(at::kBFloat16))
                        .detach()
                        .to(at::kDouble)
                        .requires_grad_(true);
  const Tensor got = product(x, w), want = at::linear(wx, ww);
  EXPECT_EQ(got.scalar_type(), at::kBFloat16);
  EXPECT_LT(distance(got, want), kRoundedToBFloat16);
  const auto dgot = gradients(got, {x, w}), dwant = gradients(want, {wx, ww});
  EXPECT_LT(distance(dgot[0], dwant[0]), 2 * kRoundedToBFloat16);
  EXPECT_LT(distance(dgot[1], dwant[1]), 2 * kRoundedToBFloat16);
}

// Experts whose products are large enough for oneDNN are padded to few numbers of rows.
TEST(Moe, IsTheSameWithEitherLibrary) {
  const ProductChoice before = product_choice();
  at::manual_seed(0);
  Moe layer({.dim = 64, .hidden = 96, .num_experts = 4, .top_k = 2});
  const Tensor x = random({2, 300, 64}, at::kFloat);
  std::vector<Tensor> in = {x};
  for (const auto& p : layer.named_parameters()) {
    const at::NoGradGuard no_grad;
    p.value().normal_(0, 0.2);
    in.push_back(p.value());
  }
  std::vector<std::vector<Tensor>> results;
  for (const char* choice : {"float32=mkl", "float32=onednn"}) {
    set_product_choice(ProductChoice::parse(choice));
    std::vector<AuxiliaryLoss> losses;
    const Tensor y = layer.forward(x, &losses);
    results.push_back(gradients(y, in));
    results.back().push_back(y);
  }
  set_product_choice(before);
  // Sums of up to 1,200 products of float32.
  for (size_t i = 0; i < results[0].size(); ++i) EXPECT_LT(distance(results[1][i], results[0][i]), 1e-5) << i;
}

}  // namespace
}  // namespace seednorm::lab
