// Causal attention and its gradients against the formula in double: in double, float32 and bfloat16, with
// both kinds of bfloat16 products, on every target, for lengths around the blocks'.
#include "lab/nn/cpu/causal_attention.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <string>
#include <vector>

#include "lab/nn/cpu/attention_head.h"
#include "lab/nn/cpu/product_choice.h"
#include "seednorm/simd.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// [B, T, H, d] -> [B, H, T, d] in double, repeated for the queries that share it.
Tensor by_head(const Tensor& x, int64_t heads) {
  return x.detach().to(at::kDouble).repeat_interleave(heads / x.size(2), 2).transpose(1, 2);
}

// Sums over the heads that share k and v: [B, H, T, d] -> [B, T, Hkv, d].
Tensor shared(const Tensor& x, int64_t kv_heads) {
  return x.view({x.size(0), kv_heads, x.size(1) / kv_heads, x.size(2), x.size(3)}).sum(2).transpose(1, 2);
}

// What attention computes, from the formula, and how much of it rounding may change.
struct Expected {
  Tensor out, dq, dk, dv;
  Tensor out_bound, dq_bound, dk_bound, dv_bound;
};

// With unit roundoffs `weight` of P and dS and `result` of O, dQ, dK and dV, and all sums exact to `sum` of
// the sum of their terms' magnitudes:
//   |O' - O| <= weight P |V| + result |O|
//   delta' = rowsum(dO O'), so |delta' - delta| <= rowsum(|dO| |O' - O|)
//   |dS' - dS| <= P |delta' - delta| + weight |dS| and from there through the products dS K and dS^T Q.
Expected expected(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& dout, double weight,
                  double result, double sum) {
  const int64_t heads = q.size(2), kv_heads = k.size(2), length = q.size(1);
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  const Tensor wq = by_head(q, heads), wk = by_head(k, heads), wv = by_head(v, heads),
               dy = by_head(dout, heads);
  const Tensor hidden = at::ones({length, length}, at::kBool).triu(1);
  const Tensor s = at::matmul(wq, wk.transpose(2, 3)) * scale;
  const Tensor p = at::softmax(s.masked_fill(hidden, -1e300), -1);
  // exp turns an error of a score into one of the weight's relative size.
  const Tensor score_error = at::matmul(wq.abs(), wk.abs().transpose(2, 3)) * (scale * sum);
  const Tensor p_error = p * (weight + sum + 2 * score_error.amax(-1, true));
  const Tensor o = at::matmul(p, wv);
  const Tensor o_error = at::matmul(p_error + sum * p, wv.abs()) + result * o.abs();
  const Tensor delta = (dy * o).sum(-1, true), dp = at::matmul(dy, wv.transpose(2, 3));
  const Tensor delta_error = (dy.abs() * o_error).sum(-1, true) + sum * (dy * o).abs().sum(-1, true);
  const Tensor dp_error = sum * at::matmul(dy.abs(), wv.abs().transpose(2, 3));
  const Tensor ds = p * (dp - delta);
  const Tensor ds_error =
      p * (delta_error + dp_error) + p_error * (dp - delta).abs() + (weight + sum) * ds.abs();
  Expected out;
  const auto turned = [](const Tensor& x) { return x.transpose(2, 3); };
  out.out = o.transpose(1, 2);
  out.out_bound = o_error.transpose(1, 2);
  out.dq = at::matmul(ds, wk).transpose(1, 2) * scale;
  out.dq_bound =
      at::matmul(ds_error + sum * ds.abs(), wk.abs()).transpose(1, 2) * scale + result * out.dq.abs();
  out.dk = shared(at::matmul(turned(ds), wq), kv_heads) * scale;
  out.dk_bound = shared(at::matmul(turned(ds_error + sum * ds.abs()), wq.abs()), kv_heads) * scale +
                 result * out.dk.abs();
  out.dv = shared(at::matmul(turned(p), dy), kv_heads);
  out.dv_bound = shared(at::matmul(turned(p_error + sum * p), dy.abs()), kv_heads) + result * out.dv.abs();
  return out;
}

void expect_within(const Tensor& got, const Tensor& want, const Tensor& bound, const std::string& what) {
  const Tensor excess = (got.detach().to(at::kDouble) - want).abs() - bound;
  EXPECT_TRUE(excess.max().item<double>() <= 1e-30)
      << what << ": beyond the bound by " << excess.max().item<double>() << " where it is up to "
      << bound.max().item<double>();
}

struct Case {
  int64_t length, heads, kv_heads, width;
};

void compare(const Case& c, at::ScalarType dtype, double weight, double result, double sum) {
  SCOPED_TRACE(testing::Message() << c.length << " tokens, " << c.kv_heads << " of " << c.heads
                                  << " heads of " << c.width);
  at::manual_seed(static_cast<uint64_t>(c.length));
  std::vector<Tensor> in;
  for (const int64_t heads : {c.heads, c.kv_heads, c.kv_heads}) {
    in.push_back(at::randn({2, c.length, heads, c.width}, at::kDouble).to(dtype).requires_grad_(true));
  }
  const Tensor dout = at::randn({2, c.length, c.heads, c.width}, at::kDouble).to(dtype);
  const Tensor out = causal_attention(in[0], in[1], in[2]);
  const auto gradients = torch::autograd::grad({out}, {in[0], in[1], in[2]}, {dout});
  const Expected want = expected(in[0], in[1], in[2], dout, weight, result, sum);
  EXPECT_EQ(out.scalar_type(), dtype);
  expect_within(out, want.out, want.out_bound, "output");
  expect_within(gradients[0], want.dq, want.dq_bound, "gradient of q");
  expect_within(gradients[1], want.dk, want.dk_bound, "gradient of k");
  expect_within(gradients[2], want.dv, want.dv_bound, "gradient of v");
}

// Half a unit in the last place of 8 bits; sums of some hundred float32 or float64 terms.
constexpr double kBFloat16 = 1.0 / 256, kFloatSum = 2e-6, kDoubleSum = 1e-14;
constexpr Case kCases[] = {{1, 4, 2, 6},    {7, 4, 1, 16},  {127, 2, 2, 10},
                           {128, 2, 1, 64}, {129, 4, 4, 8}, {300, 4, 2, 16}};

class CausalAttention : public testing::Test {
 protected:
  ~CausalAttention() override {
    set_simd_target("");
    set_product_choice(before_);
  }

 private:
  ProductChoice before_ = product_choice();
};

TEST_F(CausalAttention, EqualsTheFormula) {
  for (const std::string& target : simd_targets()) {
    SCOPED_TRACE(target);
    set_simd_target(target);
    for (const Case& c : kCases) {
      compare(c, at::kDouble, 0, 0, kDoubleSum);
      compare(c, at::kFloat, 0, 0, kFloatSum);
    }
  }
}

TEST_F(CausalAttention, InBFloat16WidenedIsRoundedOnce) {
  set_product_choice(ProductChoice::parse("bfloat16=widened"));
  for (const Case& c : kCases) compare(c, at::kBFloat16, 0, kBFloat16, kFloatSum);
}

TEST_F(CausalAttention, WithProductsOfBFloat16) {
  set_product_choice(ProductChoice::parse("bfloat16=onednn"));
  if (bfloat16_attention_heads(at::empty({1, 1, 1, 2}, at::kBFloat16)) == nullptr) {
    GTEST_SKIP() << "this processor has no matrix units for bfloat16";
  }
  for (const std::string& target : simd_targets()) {
    SCOPED_TRACE(target);
    set_simd_target(target);
    for (const Case& c : kCases) compare(c, at::kBFloat16, kBFloat16, kBFloat16, kFloatSum);
  }
}

// Of q with a head of odd width there are no pairs.
TEST_F(CausalAttention, OddWidthsAreWidened) {
  set_product_choice(ProductChoice::parse("bfloat16=onednn"));
  compare({130, 2, 1, 7}, at::kBFloat16, 0, kBFloat16, kFloatSum);
}

// Tokens of earlier positions do not see later ones: not even those that are infinite or no numbers.
TEST_F(CausalAttention, LaterTokensAreNotSeen) {
  for (const char* choice : {"bfloat16=onednn", "bfloat16=widened"}) {
    set_product_choice(ProductChoice::parse(choice));
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      at::manual_seed(1);
      const Tensor q = at::randn({1, 200, 2, 8}).to(dtype), k = at::randn({1, 200, 2, 8}).to(dtype),
                   v = at::randn({1, 200, 2, 8}).to(dtype);
      const Tensor before = causal_attention(q, k, v).slice(1, 0, 150);
      k.slice(1, 150, 200).fill_(std::nan(""));
      EXPECT_TRUE(at::equal(causal_attention(q, k, v).slice(1, 0, 150), before)) << choice << " " << dtype;
    }
  }
}

TEST_F(CausalAttention, ThreadsDoNotMatter) {
  const int threads = at::get_num_threads();
  for (const char* choice : {"bfloat16=onednn", "bfloat16=widened"}) {
    set_product_choice(ProductChoice::parse(choice));
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const int64_t length : {60, 200, 333}) {
        at::manual_seed(0);
        std::vector<Tensor> in;
        for (const int64_t heads : {4, 2, 2})
          in.push_back(at::randn({3, length, heads, 16}).to(dtype).requires_grad_(true));
        const Tensor dout = at::randn({3, length, 4, 16}).to(dtype);
        std::vector<std::vector<Tensor>> results;
        for (const int n : {1, 2}) {
          at::set_num_threads(n);
          const Tensor out = causal_attention(in[0], in[1], in[2]);
          results.push_back(torch::autograd::grad({out}, {in[0], in[1], in[2]}, {dout}));
          results.back().push_back(out);
        }
        for (size_t i = 0; i < results[0].size(); ++i) {
          EXPECT_TRUE(at::equal(results[0][i], results[1][i]))
              << choice << " " << dtype << " " << length << " " << i;
        }
      }
    }
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace seednorm::lab
