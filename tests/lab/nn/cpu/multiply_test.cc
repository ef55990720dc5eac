// Products and layers whose bits must not depend on threads or on where matrices begin.
#include "lab/nn/cpu/multiply.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "lab/nn/cpu/products.h"
#include "lab/nn/feed_forward.h"
#include "lab/nn/frac.h"
#include "lab/nn/loss.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr int kThreads[] = {1, 2, 3, 5};

// Restores the number of threads.
class Threads : public testing::Test {
 protected:
  void TearDown() override { at::set_num_threads(threads_); }

 private:
  int threads_ = at::get_num_threads();
};
using Multiply = Threads;
using OneThreadTest = Threads;
using ThreadsDoNotMatter = Threads;

// The same numbers `offset` elements behind the begin of a piece of memory.
Tensor moved(const Tensor& t, int64_t offset) {
  const Tensor memory = at::empty({t.numel() + offset}, t.options());
  Tensor out = memory.narrow(0, offset, t.numel()).view(t.sizes());
  return out.copy_(t);
}

struct Shape {
  int64_t rows, depth, cols;
};
// Those of small recipes in forward and backward, where sums over all tokens are long, and odd ones.
constexpr Shape kShapes[] = {{512, 384, 1024},  {1024, 2048, 384}, {384, 2048, 384}, {512, 64, 257},
                             {257, 512, 64},    {32, 1024, 64},    {16, 8192, 16},   {5, 512, 512},
                             {1, 384, 1024},    {37, 53, 29},      {64, 4096, 64},   {64, 96, 1300},
                             {1100, 300, 1024}, {700, 519, 1100},  {520, 7, 1}};

TEST_F(Multiply, BitsDependOnNeitherThreadsNorAlignment) {
  at::manual_seed(0);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const Shape& s : kShapes) {
      for (const bool turned : {false, true}) {
        SCOPED_TRACE(testing::Message() << dtype << " " << s.rows << " x " << s.depth << " x " << s.cols
                                        << (turned ? " turned" : ""));
        const Tensor a = (turned ? at::randn({s.depth, s.rows}) : at::randn({s.rows, s.depth})).to(dtype);
        const Tensor b = at::randn({s.cols, s.depth}).to(dtype);
        Tensor want;
        for (const int threads : kThreads) {
          at::set_num_threads(threads);
          for (const int64_t offset : {0, 1, 7}) {
            const Tensor left = moved(a, offset), right = moved(b, (3 * offset) % 16);
            const Tensor out = moved(at::zeros({s.rows, s.cols}, dtype), offset);
            multiply(out, turned ? left.t() : left, right.t());
            if (!want.defined()) want = out;
            ASSERT_TRUE(at::equal(out, want)) << threads << " threads, offset " << offset;
          }
        }
      }
    }
  }
}

TEST_F(Multiply, EqualsTheDefinition) {
  at::manual_seed(0);
  for (const Shape& s : kShapes) {
    const Tensor a = at::randn({s.rows, s.depth}, at::kDouble), b = at::randn({s.depth, s.cols}, at::kDouble);
    const Tensor before = at::randn({s.rows, s.cols}, at::kDouble);
    Tensor out = at::full_like(before, std::nan(""));
    multiply(out, a, b);
    // Sums of `depth` products of normal numbers, in another order.
    const double bound = 1e-14 * static_cast<double>(s.depth);
    EXPECT_TRUE(((out - at::mm(a, b)).abs().max().item<double>() <= bound)) << s.rows;
    out.copy_(before);
    multiply(out, a, b, 0.5, 2);
    EXPECT_TRUE(((out - (before * 2 + at::mm(a, b) * 0.5)).abs().max().item<double>() <= bound)) << s.rows;
  }
}

// Output and gradients of `layer` are the same bits for every number of threads.
void expect_same_bits(const std::function<Tensor(const Tensor&)>& layer, const std::vector<Tensor>& params,
                      const Tensor& x) {
  std::vector<std::vector<Tensor>> results;
  for (const int threads : kThreads) {
    at::set_num_threads(threads);
    const Tensor in = x.detach().requires_grad_(true);
    std::vector<Tensor> inputs = params;
    inputs.push_back(in);
    const Tensor y = layer(in);
    const Tensor dy = at::arange(y.numel(), at::kFloat).sin().view(y.sizes()).to(y.scalar_type());
    results.push_back(torch::autograd::grad({y}, inputs, {dy}));
    results.back().push_back(y.detach());
  }
  for (size_t n = 1; n < results.size(); ++n) {
    for (size_t i = 0; i < results[n].size(); ++i) {
      EXPECT_TRUE(at::equal(results[n][i], results[0][i])) << kThreads[n] << " threads, tensor " << i;
    }
  }
}

// Sets the choice of products, and restores it.
class Choice : public Threads {
 protected:
  void TearDown() override {
    set_product_choice(before_);
    Threads::TearDown();
  }

 private:
  ProductChoice before_ = product_choice();
};

// Every library, by one call and in tiles, and whatever the number of threads.
TEST_F(Choice, EveryOneIsRight) {
  at::manual_seed(0);
  for (const char* text : {"float32=mkl", "float32=onednn"}) {
    set_product_choice(ProductChoice::parse(text));
    for (const Shape& s : kShapes) {
      SCOPED_TRACE(testing::Message() << text << " " << s.rows << " x " << s.depth << " x " << s.cols);
      const Tensor a = at::randn({s.rows, s.depth}), b = at::randn({s.depth, s.cols}),
                   before = at::randn({s.rows, s.cols});
      const Tensor want = 0.5 * at::mm(a.to(at::kDouble), b.to(at::kDouble)) + 2 * before.to(at::kDouble);
      for (const auto& [left, right] :
           {std::pair{a, b}, {a, b.t().contiguous().t()}, {a.t().contiguous().t(), b}}) {
        std::vector<Tensor> got;
        for (const int threads : kThreads) {
          at::set_num_threads(threads);
          got.push_back(before.clone());
          multiply(got.back(), left, right, 0.5, 2);
          EXPECT_TRUE(at::equal(got.back(), got[0])) << threads;
        }
        // Roundings of sums of `depth` products average out to less.
        EXPECT_TRUE((got[0].to(at::kDouble) - want).abs().max().item<double>() <=
                    3e-6 * std::sqrt(s.depth) * 10);
      }
    }
  }
}

TEST_F(Choice, LayersAreRightWithEveryOne) {
  at::manual_seed(0);
  const Tensor x = at::randn({700, 96}), w = at::randn({264, 96});
  const Tensor want = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
  for (const char* text :
       {"float32=mkl,bfloat16=widened", "float32=onednn,bfloat16=widened", "bfloat16=onednn"}) {
    set_product_choice(ProductChoice::parse(text));
    for (const auto& [dtype, bound] : {std::pair{at::kFloat, 1e-5}, {at::kBFloat16, 0.03}}) {
      const Tensor error = product(x.to(dtype), w).to(at::kDouble) - want;
      EXPECT_TRUE((error.abs().max() / want.abs().max()).item<double>() <= bound) << text << " " << dtype;
    }
  }
}

// Output and gradients of linear(), against double; 2,100 rows are several tiles and several parts of a sum.
TEST_F(Choice, LinearEqualsTheDefinition) {
  at::manual_seed(0);
  for (const char* text : {"float32=mkl", "float32=onednn", "forward=onednn", "weight_gradient=onednn"}) {
    set_product_choice(ProductChoice::parse(text));
    for (const auto& [in, out] : {std::pair<int64_t, int64_t>{96, 264}, {264, 96}, {1, 33}, {33, 1}}) {
      for (const std::vector<int64_t>& shape :
           std::vector<std::vector<int64_t>>{{3, 700, in}, {5, in}, {1, 1, in}, {0, in}}) {
        SCOPED_TRACE(testing::Message() << text << " " << at::IntArrayRef(shape) << " -> " << out);
        const auto leaf = [](at::IntArrayRef sizes) { return at::randn(sizes).requires_grad_(true); };
        const Tensor x = leaf(shape), w = leaf({out, in}), bias = leaf({out});
        const Tensor y = linear(x, w, bias);
        const auto wide = [](const Tensor& t) { return t.detach().to(at::kDouble).requires_grad_(true); };
        const Tensor x2 = wide(x), w2 = wide(w), bias2 = wide(bias);
        const Tensor want = at::linear(x2, w2, bias2);
        const Tensor dy = at::randn(y.sizes());
        std::vector<Tensor> got = torch::autograd::grad({y}, {x, w, bias}, {dy}),
                            wanted = torch::autograd::grad({want}, {x2, w2, bias2}, {dy.to(at::kDouble)});
        got.push_back(y), wanted.push_back(want);
        for (size_t i = 0; i < got.size(); ++i) {
          ASSERT_EQ(got[i].sizes(), wanted[i].sizes()) << i;
          if (got[i].numel() == 0) continue;
          // Sums of up to 2,100 products of normal numbers. Partial sums are about sqrt(2100) = 46, each of
          // 2,100 roundings is 6e-8 of that, and they add up to sqrt(2100) of one: 1.3e-4. The largest of
          // many is below four times that.
          EXPECT_TRUE((got[i].to(at::kDouble) - wanted[i]).abs().max().item<double>() <= 5e-4) << i;
        }
      }
    }
  }
}

TEST_F(Choice, LinearsBitsDoNotDependOnThreads) {
  at::manual_seed(0);
  set_product_choice(ProductChoice::parse("float32=onednn"));
  const Tensor w = at::randn({264, 96}).requires_grad_(true), bias = at::randn({264}).requires_grad_(true);
  expect_same_bits([&](const Tensor& in) { return linear(in, w, bias); }, {w, bias}, at::randn({3, 700, 96}));
}

TEST_F(Choice, IsTextAndBack) {
  const ProductChoice a = ProductChoice::parse("float32=onednn,forward=mkl,bfloat16=widened");
  EXPECT_EQ(a.text(), "forward=mkl,input_gradient=onednn,weight_gradient=onednn,bfloat16=widened");
  for (const ProductChoice& choice :
       {a, ProductChoice(), default_product_choice(), measure_product_choice()}) {
    EXPECT_EQ(ProductChoice::parse(choice.text()), choice) << choice.text();
  }
  EXPECT_EQ(ProductChoice::parse(""), default_product_choice());
  for (const char* bad : {"mkl", "float32", "float32=blas", "bfloat16=mkl", "forwards=mkl"}) {
    EXPECT_THROW(ProductChoice::parse(bad), std::invalid_argument) << bad;
  }
  set_product_choice(a);
  EXPECT_EQ(product_choice(), a);
  EXPECT_EQ(product_dtype(at::kBFloat16), at::kFloat);
}

TEST_F(OneThreadTest, LastsAsLongAsItsObject) {
  at::set_num_threads(3);
  {
    const OneThread alone;
    EXPECT_EQ(at::get_num_threads(), 1);
  }
  EXPECT_EQ(at::get_num_threads(), 3);
}

TEST_F(OneThreadTest, MklIsInItsReproducibleMode) { EXPECT_NE(std::getenv("MKL_CBWR"), nullptr); }

void fill(const torch::nn::Module& module) {
  const at::NoGradGuard no_grad;
  for (Tensor p : module.parameters()) p.normal_(0, 0.1);
}

TEST_F(ThreadsDoNotMatter, InLayers) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    at::manual_seed(0);
    const Tensor x = at::randn({3, 700, 96}).to(dtype);
    const SwiGlu feed_forward(96, 264);
    fill(feed_forward);
    expect_same_bits([&](const Tensor& in) { return feed_forward.forward(in); }, feed_forward.parameters(),
                     x);
    const Moe experts({.dim = 96, .hidden = 40, .num_experts = 6, .top_k = 2});
    fill(experts);
    expect_same_bits(
        [&](const Tensor& in) {
          std::vector<AuxiliaryLoss> losses;
          const Tensor y = experts.forward(in, &losses);
          return at::cat({y.flatten().to(at::kFloat), losses[0].balance.view(1), losses[0].router_z.view(1)});
        },
        experts.parameters(), x);
    const FracSite site(96, 2, 1e-6);
    fill(site);
    expect_same_bits(
        [&](const Tensor& in) {
          const FracSite::Read read = site.read(in);
          return site.write(at::tanh(read.input), read);
        },
        site.parameters(), x);
  }
}

TEST_F(ThreadsDoNotMatter, InTheLoss) {
  at::manual_seed(0);
  const Tensor weight = at::randn({1031, 96}).requires_grad_(true);
  const Tensor targets = at::randint(1031, {1400}, at::kLong);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    expect_same_bits([&](const Tensor& in) { return linear_cross_entropy(in, weight, targets).unsqueeze(0); },
                     {weight}, at::randn({1400, 96}).to(dtype));
  }
}

}  // namespace
}  // namespace seednorm::lab
