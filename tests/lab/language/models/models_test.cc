// The language models: equal to plain residuals where they must be, placements of norms, gradients against
// differences, counts.
#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <map>

#include "lab/language/models/counts.h"
#include "lab/language/models/model.h"
#include "lab/nn/loss.h"
#include "tests/lab/language/small_model.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor tokens(int64_t rows, int64_t length) {
  return at::arange(rows * length).mul(7).add(3).remainder(50).view({rows, length});
}

// Loss and, by name, the gradients.
std::pair<Tensor, std::map<std::string, Tensor>> loss_and_gradients(Model& model) {
  std::vector<AuxiliaryLoss> losses;
  const Tensor in = tokens(2, 12);
  const Tensor hidden = model.hidden(in.narrow(1, 0, 11), &losses);
  Tensor loss = linear_cross_entropy(hidden.flatten(0, 1), model.head(), in.narrow(1, 1, 11).flatten());
  for (const AuxiliaryLoss& l : losses) loss = loss + l.balance + 0.1 * l.router_z;
  torch::autograd::backward({loss});
  std::map<std::string, Tensor> gradients;
  for (const ParamInfo& p : model.params()) {
    gradients[p.name] = p.tensor.grad();
  }
  return {loss.detach(), gradients};
}

// The configuration with every placement of the norms, with and without the scaling by depth.
std::vector<ModelConfig> placements(ModelConfig config) {
  std::vector<ModelConfig> out;
  for (const char* name : {"pre", "post", "peri", "reordered"}) {
    for (const bool scaling : {false, true}) {
      config.norm_placement = placement_of(name);
      config.norm_depth_scaling = scaling;
      out.push_back(config);
    }
  }
  return out;
}

std::string label(const ModelConfig& c) {
  return std::string(name_of(c.placement())) + (c.norm_depth_scaling ? " / sqrt(layer)" : "");
}

template <class M>
M& part(const Model& model, const std::string& name) {
  return dynamic_cast<M&>(*model.named_modules({}, /*include_self=*/false)[name]);
}

// Final hidden states by the placement's formula: RMSNorm in plain tensors, sublayers by the model's modules.
Tensor written_out(const Model& model, const Tensor& in) {
  const ModelConfig& c = model.config();
  const Rope rope(c.dim / c.num_heads, c.context, c.rope_theta);
  const auto rms_norm = [&](const std::string& name, const Tensor& x) {
    const Tensor gain = part<NormLayer>(model, name).param(Param::kGamma);
    return gain * x / (x.square().mean(-1, /*keepdim=*/true) + c.norm_eps).sqrt();
  };
  Tensor x = at::embedding(model.head(), in);
  for (int64_t l = 0; l < c.num_layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    for (const bool attention : {true, false}) {
      const auto sublayer = [&](const Tensor& u) {
        if (attention) return part<Attention>(model, layer + "self_attn").forward(u, {rope});
        if (c.num_experts > 0) return part<Moe>(model, layer + "mlp").forward(u, nullptr);
        return part<SwiGlu>(model, layer + "mlp").forward(u);
      };
      const auto norm = [&](const std::string& name, const Tensor& u) {
        const Tensor y = rms_norm(layer + name, u);
        return c.norm_depth_scaling ? y / std::sqrt(static_cast<double>(l + 1)) : y;
      };
      const bool is_olmoe = c.num_experts > 0 && c.placement() == NormPlacement::kPre;
      const std::string before = attention  ? "input_layernorm"
                                 : is_olmoe ? "post_attention_layernorm"
                                            : "pre_feedforward_layernorm";
      const std::string behind = attention ? "post_attention_layernorm" : "post_feedforward_layernorm";
      switch (c.placement()) {
        case NormPlacement::kPre:
          x = x + sublayer(norm(before, x));
          break;
        case NormPlacement::kPost:
          x = norm(behind, x + sublayer(x));
          break;
        case NormPlacement::kPeri:
          x = x + norm(behind, sublayer(norm(before, x)));
          break;
        case NormPlacement::kReordered:
          x = x + norm(behind, sublayer(x));
          break;
      }
    }
  }
  return rms_norm("model.norm", x);
}

class Families : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, Families, testing::ValuesIn(family_names()),
                         [](const auto& i) { return i.param; });

TEST_P(Families, EveryParameterGetsAGradient) {
  for (const ModelConfig& config : placements(small_model(GetParam(), "seed_norm(alpha_init=0.5)"))) {
    SCOPED_TRACE(label(config));
    Model model(config, 1);
    for (const auto& [name, gradient] : loss_and_gradients(model).second) {
      ASSERT_TRUE(gradient.defined()) << name;
      EXPECT_TRUE(at::isfinite(gradient).all().item<bool>()) << name;
      // With beta = 0, u is 0 and alpha gets none.
      EXPECT_EQ(gradient.abs().max().item<float>() > 0, !name.ends_with(".alpha")) << name;
    }
  }
}

// Four sublayers in a row, each with sums of at most 64 terms, whose errors are a few 1e-7 of the largest.
TEST_P(Families, NormsAreWhereThePlacementSays) {
  const at::NoGradGuard no_grad;
  std::map<std::string, Tensor> different;
  for (const ModelConfig& config : placements(small_model(GetParam()))) {
    SCOPED_TRACE(label(config));
    Model model(config, 1);
    at::manual_seed(2);
    for (const auto& [name, norm] : model.norms()) {
      Tensor(norm->param(Param::kGamma)).add_(at::randn_like(norm->param(Param::kGamma)), 0.3);
    }
    const Tensor got = model.hidden(tokens(2, 12)), want = written_out(model, tokens(2, 12));
    EXPECT_LT((got - want).abs().max().item<float>(), 1e-4 * want.abs().max().item<float>());
    for (const auto& [other, hidden] : different) {
      EXPECT_GT((got - hidden).abs().max().item<float>(), 1e-2) << other;
    }
    different[label(config)] = got;
  }
}

TEST_P(Families, WithoutAPlacementNormsAreAtTheFamilysOwn) {
  const at::NoGradGuard no_grad;
  ModelConfig named = small_model(GetParam(), "seed_norm");
  named.norm_placement = own_placement(named.family);
  Model a(small_model(GetParam(), "seed_norm"), 1), b(named, 1);
  EXPECT_TRUE(at::equal(a.logits(tokens(2, 12)), b.logits(tokens(2, 12))));
  EXPECT_EQ(own_placement(family_of("olmo2")), NormPlacement::kReordered);
  EXPECT_EQ(own_placement(family_of("olmoe")), NormPlacement::kPre);
}

TEST_P(Families, OnlyPeriHasMoreNorms) {
  const auto norm_params = [&](const ModelConfig& config) { return count(Model(config, 0)).norm_params; };
  const int64_t plain = norm_params(small_model(GetParam()));
  for (const ModelConfig& config : placements(small_model(GetParam()))) {
    const bool is_peri = config.placement() == NormPlacement::kPeri;
    EXPECT_EQ(norm_params(config), plain + (is_peri ? 2 * config.num_layers * config.dim : 0))
        << label(config);
  }
}

TEST_P(Families, SeeDNormStartsAsRMSNorm) {
  Model rms(small_model(GetParam()), 1), seed(small_model(GetParam(), "seed_norm"), 1);
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(rms.logits(tokens(2, 12)), seed.logits(tokens(2, 12))));
}

TEST_P(Families, CheckpointingChangesNothing) {
  for (const ModelConfig& config : placements(small_model(GetParam(), "seed_norm"))) {
    SCOPED_TRACE(label(config));
    Model plain(config, 1), again(config, 1);
    again.set_checkpointing(true);
    const auto [a, da] = loss_and_gradients(plain);
    const auto [b, db] = loss_and_gradients(again);
    EXPECT_TRUE(at::equal(a, b));
    for (const auto& [name, gradient] : da) EXPECT_TRUE(at::equal(gradient, db.at(name))) << name;
  }
}

TEST_P(Families, CausalAndAloneInABatch) {
  Model model(small_model(GetParam(), "seed_norm"), 1);
  const at::NoGradGuard no_grad;
  const Tensor in = tokens(2, 12), all = model.logits(in);
  // Position t sees nothing behind it, nor the other sequence. Experts' matrix products change their shapes,
  // so the comparison is to rounding: 1e-5 of logits of order 1.
  EXPECT_LT((model.logits(in.narrow(1, 0, 7)) - all.narrow(1, 0, 7)).abs().max().item<float>(), 1e-4);
  EXPECT_LT((model.logits(in.narrow(0, 1, 1)) - all.narrow(0, 1, 1)).abs().max().item<float>(), 1e-4);
}

TEST_P(Families, FracConnectionsStartAsThePlainResidual) {
  const at::NoGradGuard no_grad;
  for (ModelConfig config : placements(small_model(GetParam()))) {
    SCOPED_TRACE(label(config));
    Model plain(config, 1);
    for (const int64_t rate : {1, 2, 4}) {
      config.frac_rate = rate;
      Model frac(config, 1);
      EXPECT_TRUE(at::eq(plain.logits(tokens(2, 12)), frac.logits(tokens(2, 12))).all().item<bool>()) << rate;
    }
  }
}

TEST_P(Families, GradientsMatchDifferences) {
  ModelConfig config = small_model(GetParam(), "seed_norm(num_heads=2)");
  config.frac_rate = 2;
  config.top_k = config.num_experts;  // a choice of experts would jump
  Model model(config, 3);
  at::manual_seed(0);
  std::vector<Tensor> tensors;
  {
    const at::NoGradGuard no_grad;
    for (const ParamInfo& p : model.params()) {
      if (p.role == Role::kDynamic || p.role == Role::kStatic) p.tensor.add_(at::randn_like(p.tensor), 0.1);
      tensors.push_back(p.tensor);
    }
  }
  const auto value = [&] {
    const at::NoGradGuard no_grad;
    const Tensor in = tokens(2, 12);
    std::vector<AuxiliaryLoss> losses;
    const Tensor hidden = model.hidden(in.narrow(1, 0, 11), &losses);
    Tensor loss = linear_cross_entropy(hidden.flatten(0, 1), model.head(), in.narrow(1, 1, 11).flatten());
    for (const AuxiliaryLoss& l : losses) loss = loss + l.balance + 0.1 * l.router_z;
    return loss.item<double>();
  };
  const auto gradients = loss_and_gradients(model).second;
  // Along the gradient of each tensor the loss changes by its length times the step. Loss is about 90 with a
  // rounding of 1e-5, the step 1e-2, so the slope is known to 2e-3; curvature adds as much again.
  const double step = 1e-2;
  for (const ParamInfo& p : model.params()) {
    const Tensor gradient = gradients.at(p.name);
    const double length = gradient.norm().item<double>();
    if (!(length > 0.1)) continue;
    const at::NoGradGuard no_grad;
    const Tensor direction = gradient / length;
    p.tensor.add_(direction, step);
    const double up = value();
    p.tensor.add_(direction, -2 * step);
    const double down = value();
    p.tensor.add_(direction, step);
    EXPECT_LT(std::abs((up - down) / (2 * step) - length), 0.02 * length + 5e-3) << p.name;
  }
}

TEST(Loss, EqualsCrossEntropyOverLogits) {
  at::manual_seed(0);
  const Tensor h = at::randn({1030, 8}).requires_grad_(true), w = at::randn({70, 8}).requires_grad_(true);
  Tensor target = at::randint(0, 70, {1030});
  target.narrow(0, 5, 20).fill_(-100);
  const Tensor got = linear_cross_entropy(h, w, target);
  const Tensor want =
      at::cross_entropy_loss(at::linear(h, w).to(at::kDouble), target, {}, at::Reduction::Sum, -100);
  // 1,030 terms of about 10 in float32, summed in blocks of 512: 1e-6 relative.
  EXPECT_LT(std::abs(got.item<double>() / want.item<double>() - 1), 1e-5);
  const auto a = torch::autograd::grad({got}, {h, w}), b = torch::autograd::grad({want}, {h, w});
  for (int i = 0; i < 2; ++i) EXPECT_LT((a[i] - b[i]).abs().max().item<float>(), 1e-3) << i;
}

TEST(Loss, WithTheZLossOfTheHead) {
  at::manual_seed(0);
  const Tensor h = at::randn({1030, 8}).requires_grad_(true), w = at::randn({70, 8}).requires_grad_(true);
  Tensor target = at::randint(0, 70, {1030});
  target.narrow(0, 5, 20).fill_(-100);
  constexpr double kScale = 0.5, kWeight = 0.3;
  const LossWithZ got = linear_cross_entropy_with_z(h, w, target, kScale, kWeight);
  const Tensor logits = at::linear(h.to(at::kDouble), w.to(at::kDouble));
  const Tensor loss = kScale * at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum, -100);
  const Tensor z = kScale * at::logsumexp(logits, 1).square().masked_fill(target.lt(0), 0).sum();
  const Tensor want = loss + kWeight * z;
  // As above; z is a sum of squares of about 8.
  EXPECT_LT(std::abs(got.total.item<double>() / want.item<double>() - 1), 1e-5);
  EXPECT_LT(std::abs(got.z.item<double>() / z.item<double>() - 1), 1e-5);
  EXPECT_LT(std::abs(got.loss.item<double>() / loss.item<double>() - 1), 1e-5);
  EXPECT_FALSE(got.loss.requires_grad() || got.z.requires_grad());
  const auto a = torch::autograd::grad({2 * got.total}, {h, w}),
             b = torch::autograd::grad({2 * want}, {h, w});
  for (int i = 0; i < 2; ++i) EXPECT_LT((a[i] - b[i]).abs().max().item<float>(), 1e-3) << i;
  EXPECT_THROW(linear_cross_entropy_with_z(h, w, target, kScale, 0), std::invalid_argument);
}

// A setting that a family would not use is refused rather than ignored.
TEST(ModelConfig, ExpertsBelongToFamiliesThatHaveThem) {
  const auto refused = [](const std::string& family, int64_t num_experts, int64_t top_k) -> std::string {
    ModelConfig config = small_model(family);
    config.num_experts = num_experts, config.top_k = top_k;
    try {
      config.check();
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(refused("olmo2", 8, 3),
            "num_experts: expected 0 in the family olmo2, which has no experts, got 8");
  EXPECT_EQ(refused("olmo2", 0, 3), "top_k: expected 0 in the family olmo2, which has no experts, got 3");
  EXPECT_EQ(refused("olmo2", 0, 0), "");
  EXPECT_EQ(refused("olmoe", 0, 0), "num_experts: expected 1 or more in the family olmoe, got 0");
  EXPECT_EQ(refused("olmoe", 8, 9), "top_k: expected 1 to num_experts = 8, got 9");
  EXPECT_EQ(refused("olmoe", 8, 8), "");
}

// The paper's extra parameters over RMSNorm: (4N + 4N/H + 2) D.
TEST(Counts, ExtraParametersOfThePaper) {
  for (const auto& [layers, heads, dim, extra] :
       {std::tuple<int64_t, int64_t, int64_t, int64_t>{12, 16, 1024, 54272}, {16, 16, 1536, 107520}}) {
    ModelConfig config = small_model("olmo2");
    config.num_layers = layers, config.num_heads = config.num_kv_heads = heads, config.dim = dim;
    config.ffn_dim = 8;
    const auto count = [&](const std::string& norm) {
      config.norms.set_all(NormSpec::parse(norm));
      int64_t total = 0;
      for (const ParamInfo& p : Model(config, 0).params()) total += p.tensor.numel();
      return total;
    };
    EXPECT_EQ(count("seed_norm") - count("rms_norm"), extra);
  }
}

// SeeDNorm adds 4 w operations to RMSNorm's for each row of width w. The paper's Appendix F.1 has 4 w - 1 and
// counts one head of queries and keys; with each head, its sum for this model is 200,295.
TEST(Counts, OperationsOfTheNorms) {
  ModelConfig config = small_model("olmo2");
  config.num_layers = 12, config.num_heads = config.num_kv_heads = 16, config.dim = 1024, config.ffn_dim = 8;
  config.qk_norm_per_head = true;
  const auto added = [&] {
    const auto forward = [&](const char* norm) {
      config.norms.set_all(NormSpec::parse(norm));
      return count(Model(config, 0)).norm_flops_per_unit / 3;
    };
    return forward("seed_norm") - forward("rms_norm");
  };
  const int rows = 2 * 12 + 1 + 2 * 12 * 16;
  EXPECT_EQ(added(), 200295 + rows);
  config.num_kv_heads = 4;
  EXPECT_EQ(added(), 4 * 1024 * 25 + 4 * 64 * 12 * (16 + 4));
  config.qk_norm_per_head = false;
  EXPECT_EQ(added(), 4 * 1024 * 25 + 4 * 12 * (1024 + 256));
  config.norms.set_all(NormSpec::parse("dyt"));  // a slope, a gain and an offset, and no statistics
  EXPECT_EQ(count(Model(config, 0)).norm_flops_per_unit / 3, 3 * (1024 * 25 + 12 * (1024 + 256)));
}

}  // namespace
}  // namespace seednorm::lab
