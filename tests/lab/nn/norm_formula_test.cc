// The formulas of all norms in plain tensors against the core's kernels, forward and backward.
#include "lab/nn/norm_formula.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "lab/nn/device.h"
#include "lab/nn/norm_kernels.h"
#include "lab/nn/norm_layer.h"
#include "seednorm/philox.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr int64_t kSamples = 3, kTokens = 5;

// Every option of every norm, alone and with others.
const std::vector<std::string> kSpecs = {
    "rms_norm",
    "rms_norm(gamma=none)",
    "rms_norm(gamma=plus_one, eps=0.1)",
    "layer_norm",
    "layer_norm(gamma=none, beta=none)",
    "layer_norm(beta=none, eps=0.1)",
    "group_layer_norm",
    "group_layer_norm(num_heads=4, eps=0.1)",
    "dyt",
    "derf",
    "dyisru",
    "gct",
    "gct(eps=0.1)",
    "lan",
    "lan(eps=0.1)",
    "scale_norm",
    "scale_norm(eps=100)",
    "seed_norm",
    "seed_norm(num_heads=4)",
    "seed_norm(num_heads=2, sigma=sigmoid, dot_scale=1/d)",
    "seed_norm(sigma=hardtanh, dot_scale=0.25)",
    "seed_norm(sigma=softsign, gamma=plus_one, eps=0.1)",
    "seed_norm(sigma=gelu, gamma=none)",
    "seed_norm(sigma=silu, alpha=scalar)",
    "seed_norm(sigma=identity, alpha=none, num_heads=2)",
    "seed_norm(beta=elementwise)",
    "seed_norm(beta=elementwise, alpha=scalar, sigma=sigmoid)",
    "seed_norm(beta=none)",
    "seed_norm(beta=none, alpha=scalar)",
    "seed_norm(dropout=0.25)",
    "seed_norm(dropout=0.5, num_heads=4, gamma=plus_one)",
    "seed_norm(dropout=0.5, beta=elementwise)",
    "ada_seed_norm",
    "ada_seed_norm(num_heads=4, dot_scale=1/D)",
    "ada_seed_norm(alpha=none, sigma=softsign)",
    "ada_seed_norm(alpha=scalar, dropout=0.25, eps=0.1)",
};

struct Case {
  NormSpec spec;
  Norm norm;
  Tensor x, residual, dy, dsum;
  ParamSet<Tensor> params;
};

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kDouble);
}

// Data [N, T, D] and parameters of the order of 1, as numbers of `data` and `own`.
Case make_case(const std::string& text, int64_t dim, at::ScalarType data, at::ScalarType own) {
  const NormSpec spec = NormSpec::parse(text);
  const NormLayer layer(spec, dim, norm_info(spec.name).needs_condition() ? Affine::kOfSample : Affine::kOwn);
  Case c = {spec, layer.layer(), {}, {}, {}, {}, {}};
  uint64_t seed = 1;
  const auto numbers = [&](at::IntArrayRef shape, at::ScalarType dtype) {
    // Rounded to bfloat16, so that all dtypes have the same numbers.
    return random(shape, seed++).to(at::kBFloat16).to(dtype).requires_grad_(true);
  };
  for (Tensor* t : {&c.x, &c.residual, &c.dy, &c.dsum}) *t = numbers({kSamples, kTokens, dim}, data);
  for (int i = 0; i < kNumParams; ++i) {
    const auto p = static_cast<Param>(i);
    if (c.norm.kind(p) == ParamKind::kAbsent) continue;
    const bool of_sample = c.norm.kind(p) == ParamKind::kPerSample;
    const int64_t width = c.norm.kind(p) == ParamKind::kScalar ? 1 : dim;
    c.params[p] = of_sample ? numbers({kSamples, dim}, own) : numbers({width}, own);
  }
  return c;
}

constexpr DropoutDraws kDraws = {.seed = 0x123456789ABCDEF0, .offset = 0xFEDCBA9876543210};

// y, x + residual, and the gradients of x, of the residual and of the parameters, in this order.
std::vector<Tensor> results_of(const Case& c, bool by_formula, bool with_residual) {
  std::vector<Tensor> inputs = {c.x};
  if (with_residual) inputs.push_back(c.residual);
  for (int p = 0; p < kNumParams; ++p) {
    if (const Tensor& t = c.params[static_cast<Param>(p)]; t.defined()) inputs.push_back(t);
  }
  std::pair<Tensor, Tensor> out;
  if (by_formula) {
    if (with_residual) out.second = c.x + c.residual;
    out.first = norm_formula(c.norm, with_residual ? out.second : c.x, c.params, kDraws);
  } else {
    out = norm_by_kernels(c.norm, c.x, with_residual ? c.residual : Tensor(), c.params, kDraws);
  }
  std::vector<Tensor> results = {out.first.detach()}, outputs = {out.first}, weights = {c.dy.detach()};
  if (with_residual) {
    results.push_back(out.second.detach());
    outputs.push_back(out.second);
    weights.push_back(c.dsum.detach());
  }
  for (const Tensor& g : torch::autograd::grad(outputs, inputs, weights)) results.push_back(g);
  return results;
}

double largest(const Tensor& t) { return t.abs().max().item<double>(); }

class NormFormula : public testing::TestWithParam<std::string> {};

// In float64 both are the formula up to roundings: no result is a sum of more than kSamples kTokens D terms
// with factors of up to 10 each, of which none cancels below a hundredth.
TEST_P(NormFormula, IsTheKernelsFormula) {
  for (const int64_t dim : {8, 100, 192}) {
    const Case c = make_case(GetParam(), dim, at::kDouble, at::kDouble);
    for (const bool with_residual : {false, true}) {
      if (with_residual && !c.norm.has_residual_add()) continue;
      const auto want = results_of(c, false, with_residual), got = results_of(c, true, with_residual);
      ASSERT_EQ(want.size(), got.size());
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_TRUE(largest(got[i] - want[i]) <= 1e-12 * (1 + largest(want[i])))
            << GetParam() << " dim " << dim << " result " << i << ": " << largest(got[i] - want[i]);
      }
    }
  }
}

// A float32 sum of n terms errs by at most n eps times the sum of their sizes; here n is D for a row and
// kSamples kTokens for a parameter, and the sizes are of the order of the result. Two float32 numbers that
// differ by little may be stored as neighbouring bfloat16 numbers, which differ by 2^-7 of their size at
// most.
TEST_P(NormFormula, RoundsAsTheKernelsDo) {
  for (const int64_t dim : {8, 100, 192}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const Case c = make_case(GetParam(), dim, dtype, at::kFloat);
      for (const bool with_residual : {false, true}) {
        if (with_residual && !c.norm.has_residual_add()) continue;
        const auto want = results_of(c, false, with_residual), got = results_of(c, true, with_residual);
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_EQ(want[i].scalar_type(), got[i].scalar_type());
          const double eps = want[i].scalar_type() == at::kBFloat16
                                 ? 0x1p-7
                                 : static_cast<double>(dim + kSamples * kTokens) * 0x1p-24;
          const Tensor w = want[i].to(at::kDouble), g = got[i].to(at::kDouble);
          EXPECT_TRUE(largest(g - w) <= eps * (1 + largest(w)))
              << GetParam() << " dim " << dim << " " << name_of(c.spec.options.sigma) << " result " << i
              << ": " << largest(g - w) << " of " << largest(w);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, NormFormula, testing::ValuesIn(kSpecs));

TEST(NormFormulas, EveryNormIsCompared) {
  std::set<std::string> compared;
  for (const std::string& text : kSpecs) compared.insert(NormSpec::parse(text).name);
  for (const std::string& name : norm_names()) EXPECT_TRUE(compared.contains(name)) << name;
}

TEST(NormFormulas, DropoutHasTheBitsOfTheCore) {
  for (const DropoutDraws& draws :
       {kDraws, DropoutDraws{}, DropoutDraws{.seed = ~uint64_t{0}, .offset = 7}}) {
    for (const int64_t dim : {1, 16, 63, 64, 200}) {
      const int64_t rows = 9;
      const double p = 0.3;
      const Tensor factors = dropout_factors(rows, dim, p, draws, at::kDouble);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < dim; ++c) {
          const bool kept = dropout_bits(draws.seed, draws.offset, r, c) >= dropout_threshold(p);
          ASSERT_EQ(factors[r][c].item<double>(), kept ? 1 / (1 - p) : 0) << r << " " << c;
        }
      }
    }
  }
}

// A row of zeros has a gradient, and rows with infinities do not touch others.
TEST(NormFormulas, RowsStandAlone) {
  for (const std::string& text : kSpecs) {
    Case c = make_case(text, 8, at::kFloat, at::kFloat);
    const Tensor plain = norm_formula(c.norm, c.x, c.params, {}).detach();
    Tensor x = c.x.detach().clone();
    x[0][0].zero_();
    x[1][1].fill_(std::numeric_limits<float>::infinity());
    x.requires_grad_(true);
    const Tensor y = norm_formula(c.norm, x, c.params, {});
    EXPECT_TRUE(at::equal(y[2].detach(), plain[2])) << text;
    const Tensor dx = torch::autograd::grad({y[0].sum() + y[2].sum()}, {x})[0];
    EXPECT_TRUE(dx[0].isfinite().all().item<bool>()) << text;
  }
}

// The layer takes the formula where there is no kernel.
TEST(NormFormulas, OfALayer) {
  for (const std::string& text : kSpecs) {
    const NormSpec spec = NormSpec::parse(text);
    for (const Affine affine : {Affine::kOwn, Affine::kOfSample}) {
      if (affine == Affine::kOwn && norm_info(spec.name).needs_condition()) continue;
      NormLayer layer(spec, 16, affine);
      layer.set_dropout_draws(kDraws);
      const Tensor x = random({kSamples, kTokens, 16}, 1).to(at::kFloat),
                   c = random({2, kSamples, 16}, 2).to(at::kFloat);
      const auto run = [&] {
        return affine == Affine::kOwn ? layer.add(x, x).first : layer.forward(x, c[0], c[1]);
      };
      const Tensor want = run();
      const PlainTensors plain;
      ASSERT_FALSE(has_norm_kernels(layer.layer(), x));
      const Tensor got = run();
      EXPECT_TRUE(largest(got - want) <= 16 * 0x1p-24 * (1 + largest(want))) << text;
      const at::NoGradGuard no_grad;
      EXPECT_TRUE(at::equal(run(), got)) << text;
    }
  }
}

}  // namespace
}  // namespace seednorm::lab
