// What `seednorm analyze` measures, against the definitions written out in double.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "lab/base/error.h"
#include "lab/language/analyze/activations.h"
#include "lab/language/analyze/gradient_variance.h"
#include "lab/language/analyze/scaled_loss.h"
#include "tests/lab/language/small_model.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using Rows = std::vector<std::vector<double>>;

// Values and sums are computed in double, in another order.
constexpr double kDoubleError = 1e-12;

std::vector<int64_t> some_ids(int64_t count) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; ++i) out.push_back((i * i * 7 + i * 13 + 3) % 50);
  return out;
}

// A model whose alpha, beta and gamma are not those of the beginning.
std::unique_ptr<Model> trained(ModelConfig config) {
  auto out = std::make_unique<Model>(config, 1);
  const at::NoGradGuard no_grad;
  at::manual_seed(5);
  for (const auto& [name, norm] : out->norms()) {
    for (const NormParam& p : norm->params()) {
      Tensor(norm->param(p.param)).add_(at::randn_like(norm->param(p.param)), 0.3);
    }
  }
  return out;
}

Rows rows_of(const Tensor& x, int64_t every) {
  const Tensor tokens = x.detach().flatten(0, 1),
               rows = tokens.slice(0, 0, tokens.size(0), every).flatten(0, -2);
  Rows out;
  for (int64_t r = 0; r < rows.size(0); ++r) {
    out.emplace_back();
    for (int64_t i = 0; i < rows.size(1); ++i) out.back().push_back(rows[r][i].item<double>());
  }
  return out;
}

std::vector<double> rms_by_hand(const Rows& rows) {
  std::vector<double> out;
  for (const std::vector<double>& row : rows) {
    double sum = 0;
    for (const double x : row) sum += x * x;
    out.push_back(std::sqrt(sum / static_cast<double>(row.size())));
  }
  return out;
}

// z of each row and head.
std::vector<double> z_by_hand(const Rows& rows, const Tensor& beta, int64_t heads, double scale) {
  std::vector<double> out;
  for (const std::vector<double>& row : rows) {
    const size_t width = row.size() / static_cast<size_t>(heads);
    for (size_t first = 0; first < row.size(); first += width) {
      double sum = 0;
      for (size_t i = first; i < first + width; ++i)
        sum += row[i] * beta[static_cast<int64_t>(i)].item<double>();
      out.push_back(scale * sum);
    }
  }
  return out;
}

double mean_square(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return sum / static_cast<double>(values.size());
}

void expect_near(const Distribution& got, const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double mean = 0, squares = 0;
  for (const double v : values) mean += v / n;
  for (const double v : values) squares += (v - mean) * (v - mean) / n;
  EXPECT_EQ(got.count, static_cast<int64_t>(values.size()));
  EXPECT_NEAR(got.mean, mean, kDoubleError);
  EXPECT_NEAR(got.sd, std::sqrt(squares), kDoubleError);
}

// The element of this name.
template <class T>
T named(const std::vector<T>& list, const std::string& name) {
  return *std::find_if(list.begin(), list.end(), [&](const T& t) { return t.name == name; });
}

const NormLayer& norm_named(const Model& model, const std::string& name) {
  for (const auto& [own, norm] : model.norms()) {
    if (own == name) return *norm;
  }
  throw std::out_of_range(name);
}

TEST(Distribution, ByHand) {
  const Distribution d = distribution_of({5, 1, 4, 2, 3});
  EXPECT_EQ(d.count, 5);
  EXPECT_DOUBLE_EQ(d.mean, 3);
  EXPECT_DOUBLE_EQ(d.sd, std::sqrt(2.0));  // squares 4, 1, 0, 1, 4 over 5
  EXPECT_DOUBLE_EQ(d.q01, 1.04);           // 0.01 x 4 steps from 1 towards 2
  EXPECT_DOUBLE_EQ(d.median, 3);
  EXPECT_DOUBLE_EQ(d.q99, 4.96);
  EXPECT_EQ(distribution_of({7}).q99, 7);
  EXPECT_TRUE(std::isnan(distribution_of({}).mean));
  const Distribution nan = distribution_of({1, NAN});
  EXPECT_TRUE(std::isnan(nan.mean) && std::isnan(nan.sd) && std::isnan(nan.median));
}

TEST(Distribution, SharesOfGroups) {
  // Means 2 and 6 around 4: between 4 x 2^2 = 16; in all 9 + 1 + 1 + 9 = 20.
  const std::vector<double> values = {1, 3, 5, 7};
  const GroupedDistribution one = grouped(values, std::vector<int64_t>{0, 0, 2, 2}, 4, 3);
  EXPECT_DOUBLE_EQ(one.explained, 0.8);
  EXPECT_DOUBLE_EQ(one.groups[0].mean, 2);
  EXPECT_EQ(one.groups[1].count, 0);
  EXPECT_DOUBLE_EQ(one.groups[2].mean, 6);
  // Two members with two values and two groups each: group 0 has all, 1 the first two, 2 the last two; means
  // 4, 2 and 6. Between 4 x 0 + 2 x 4 + 2 x 4 = 16 of 2 x 20.
  const GroupedDistribution two = grouped(values, std::vector<int64_t>{0, 1, 2, 0}, 2, 3);
  EXPECT_EQ(two.groups[0].count, 4);
  EXPECT_DOUBLE_EQ(two.explained, 0.4);
  EXPECT_TRUE(std::isnan(grouped(std::vector<double>{2, 2}, std::vector<int64_t>{0, 1}, 2, 2).explained));
}

// A norm of width 4 whose z has these root mean squares with 1, 2 and 4 heads, over 8 rows.
MeasuredNorm measured(const std::string& spec, const std::vector<double>& rms_z,
                      const std::vector<double>& rms_u) {
  MeasuredNorm out = {.name = "n",
                      .site = "block",
                      .spec = NormSpec::parse(spec),
                      .rms_alpha = 1,
                      .rms_gamma = 2,
                      .by_heads = {}};
  for (size_t i = 0; i < rms_z.size(); ++i) {
    const int64_t heads = int64_t{1} << i, count = 8 * heads;
    const auto n = static_cast<double>(count);
    out.by_heads.push_back({.heads = heads,
                            .count = count,
                            .z_squares = n * rms_z[i] * rms_z[i],
                            .u_squares = n * rms_u[i] * rms_u[i]});
  }
  return out;
}

// The threshold is artanh(0.95) / 2 = 0.91589.
TEST(Plan, TheSmallestNumberOfHeadsThatIsEnough) {
  const MeasuredNorm narrow = measured("seed_norm", {1.3, 0.92, 0.6}, {0.8, 0.7, 0.5});
  SitePlan site = plan({narrow}, 0.5).at(0);
  EXPECT_EQ(site.heads, 4);
  EXPECT_DOUBLE_EQ(*site.alpha, 0.5 * 2 / 0.5);
  EXPECT_DOUBLE_EQ(site.now.rms_z(), 1.3);
  EXPECT_DOUBLE_EQ(site.planned.rms_z(), 0.6);
  EXPECT_DOUBLE_EQ(site.theorem_rms_z, 1.3 / 2);
  EXPECT_DOUBLE_EQ(site.dynamic_share, 0.8 / 2);
  EXPECT_EQ(site.proposal().text(), "seed_norm(num_heads=4, alpha_init=2)");

  EXPECT_EQ(plan({measured("seed_norm", {1.3, 0.91, 0.6}, {0.8, 0.7, 0.5})}, 0.5)[0].heads, 2);
  EXPECT_EQ(plan({measured("seed_norm", {0.9, 0.8, 0.7}, {0.8, 0.7, 0.5})}, 0.5)[0].heads, 1);
  // The larger need of two norms, and the median of 2 x 0.5 / 0.5 and 2 x 0.5 / 0.25.
  site = plan({narrow, measured("seed_norm", {0.5, 0.4, 0.3}, {0.4, 0.3, 0.25})}, 0.5).at(0);
  EXPECT_EQ(site.heads, 4);
  EXPECT_DOUBLE_EQ(*site.alpha, 3);
  EXPECT_DOUBLE_EQ(site.now.rms_z(), std::sqrt((1.3 * 1.3 + 0.5 * 0.5) / 2));
}

TEST(Plan, WithoutAProposal) {
  SitePlan site = plan({measured("seed_norm", {3, 2, 1}, {1, 1, 1})}, 0.5).at(0);
  EXPECT_FALSE(site.heads || site.alpha);
  site = plan({measured("seed_norm(sigma=gelu)", {0.1, 0.1, 0.1}, {1, 1, 1})}, 0.5).at(0);
  EXPECT_FALSE(site.heads);
  site = plan({measured("seed_norm", {0, 0, 0}, {0, 0, 0})}, 0.5).at(0);
  EXPECT_EQ(site.num_norms, 0);
  EXPECT_FALSE(site.heads);
  site = plan({measured("seed_norm(alpha=none)", {0.1, 0.1, 0.1}, {1, 1, 1})}, 0.5).at(0);
  EXPECT_EQ(site.heads, 1);
  EXPECT_FALSE(site.alpha);
  site = plan({measured("seed_norm", {NAN, NAN, NAN}, {NAN, NAN, NAN})}, 0.5).at(0);
  EXPECT_FALSE(site.heads);
}

TEST(Plan, HeadsDivideEveryWidthOfASite) {
  MeasuredNorm wide = measured("seed_norm", {1.3, 0.9, 0.6}, {1, 1, 1}), thin = wide;
  thin.by_heads.erase(thin.by_heads.begin() + 1);  // as if its divisors were 1 and 4
  EXPECT_EQ(plan({wide, thin}, 0.5)[0].heads, 4);
  EXPECT_EQ(plan({thin, wide}, 0.5)[0].heads, 4);
}

TEST(Plan, SumsOfTexts) {
  std::vector<MeasuredNorm> all;
  add_sums(all, {measured("seed_norm", {1, 1, 1}, {1, 1, 1})});
  add_sums(all, {measured("seed_norm", {3, 1, 1}, {1, 1, 1})});
  EXPECT_DOUBLE_EQ(all[0].with(1)->rms_z(), std::sqrt(5.0));
  EXPECT_EQ(all[0].with(2)->count, 32);
  EXPECT_EQ(all[0].with(3), nullptr);
}

TEST(Plan, SaturationPoints) {
  for (const Sigma sigma : {Sigma::kTanh, Sigma::kSigmoid, Sigma::kHardtanh, Sigma::kSoftsign}) {
    const Tensor z = at::full({1}, *saturation_point(sigma), at::kDouble);
    const double u = sigma_of(sigma, z).item<double>();
    EXPECT_NEAR(sigma == Sigma::kSigmoid ? 2 * u - 1 : u, 0.95, kDoubleError) << name_of(sigma);
  }
  for (const Sigma sigma : {Sigma::kGelu, Sigma::kSilu, Sigma::kIdentity})
    EXPECT_FALSE(saturation_point(sigma));
}

class Families : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, Families, testing::ValuesIn(family_names()),
                         [](const auto& i) { return i.param; });

// The first norm of a pre-norm model gets the embedding.
TEST_P(Families, TheFirstNormGetsTheEmbedding) {
  ModelConfig config = small_model(GetParam(), "seed_norm(num_heads=4, dot_scale=1/d)");
  config.norm_placement = NormPlacement::kPre;
  const auto model = trained(config);
  const std::vector<int64_t> ids = some_ids(11);
  const ActivationRecorder recorder(*model, /*every=*/3);
  {
    const at::NoGradGuard no_grad;
    model->hidden(at::tensor(ids, at::kLong).unsqueeze(0));
  }
  Rows rows;
  for (size_t t = 0; t < ids.size(); t += 3) {
    rows.emplace_back();
    for (int64_t i = 0; i < config.dim; ++i) rows.back().push_back(model->head()[ids[t]][i].item<double>());
  }
  const std::string name = "model.layers.0.input_layernorm";
  const NormLayer& layer = norm_named(*model, name);
  const Tensor beta = layer.param(Param::kBeta);
  const NormActivations first = named(recorder.activations(), name);
  EXPECT_EQ(first.place.site, "block");
  EXPECT_EQ(first.place.layer, 0);
  expect_near(first.rms, rms_by_hand(rows));
  const std::vector<double> z = z_by_hand(rows, beta, 4, 1.0 / 8);
  expect_near(*first.z, z);
  std::vector<double> u;
  for (const double v : z) u.push_back(std::tanh(v));
  expect_near(*first.u, u);
  for (const HeadSums& sums : named(recorder.measured(), name).by_heads) {
    // 1/d is the width of a head.
    const std::vector<double> other =
        z_by_hand(rows, beta, sums.heads, static_cast<double>(sums.heads) / static_cast<double>(config.dim));
    EXPECT_NEAR(sums.rms_z(), std::sqrt(mean_square(other)), kDoubleError) << sums.heads;
    EXPECT_EQ(sums.count, 4 * sums.heads);
    EXPECT_EQ(sums.num_saturated, std::count_if(other.begin(), other.end(),
                                                [](double v) { return std::fabs(std::tanh(v)) > 0.95; }));
  }
}

// Every other norm, and experts, by what a second model's layers tell.
TEST_P(Families, EveryNormAndExpert) {
  for (const char* placement : {"pre", "post", "peri", "reordered"}) {
    SCOPED_TRACE(placement);
    ModelConfig config = small_model(GetParam(), "seed_norm(num_heads=2)");
    config.norm_placement = placement_of(placement);
    const auto model = trained(config), other = trained(config);
    const Tensor in = at::tensor(some_ids(24), at::kLong).view({2, 12});
    const at::NoGradGuard no_grad;
    std::map<std::string, Rows> inputs;
    std::map<std::string, std::vector<int64_t>> chosen;
    for (const auto& [name, norm] : other->norms()) {
      norm->set_observer([&rows = inputs[name]](const Tensor& x) { rows = rows_of(x, 1); });
    }
    for (const auto& module : other->named_modules({}, /*include_self=*/false)) {
      auto* moe = dynamic_cast<Moe*>(module.value().get());
      if (moe == nullptr) continue;
      moe->set_observer([&list = chosen[module.key()]](const Tensor& c) {
        for (int64_t i = 0; i < c.numel(); ++i) list.push_back(c.flatten()[i].item<int64_t>());
      });
    }
    const Tensor want = other->hidden(in);
    const ActivationRecorder recorder(*model, 1);
    EXPECT_TRUE(at::equal(model->hidden(in), want));
    int grouped_norms = 0;
    for (const NormActivations& norm : recorder.activations()) {
      SCOPED_TRACE(norm.name);
      const Rows& rows = inputs.at(norm.name);
      EXPECT_EQ(rows.size() % 24, 0u);
      const Tensor beta = norm_named(*model, norm.name).param(Param::kBeta);
      const std::vector<double> z = z_by_hand(rows, beta, 2, 1);
      expect_near(norm.rms, rms_by_hand(rows));
      expect_near(*norm.z, z);
      if (!norm.rms_by_expert) continue;
      ++grouped_norms;
      // The norm before the experts is in their layer. Pre-norm has none behind them: the next layer's first
      // one gets the stream with their output.
      const bool behind = norm.place.site == "output" || norm.name.ends_with("input_layernorm");
      const int64_t at = norm.place.layer.value_or(config.num_layers) - (behind ? 1 : 0);
      const std::vector<int64_t>& list = chosen.at("model.layers." + std::to_string(at) + ".mlp");
      for (int64_t e = 0; e < config.num_experts; ++e) {
        Rows mine;
        for (size_t t = 0; t < rows.size(); ++t) {
          for (int64_t k = 0; k < config.top_k; ++k) {
            if (list[t * static_cast<size_t>(config.top_k) + static_cast<size_t>(k)] == e)
              mine.push_back(rows[t]);
          }
        }
        if (mine.empty()) continue;
        expect_near(norm.rms_by_expert->groups[static_cast<size_t>(e)], rms_by_hand(mine));
        expect_near(norm.z_by_expert->groups[static_cast<size_t>(e)], z_by_hand(mine, beta, 2, 1));
      }
    }
    const bool two = config.placement() == NormPlacement::kPre || config.placement() == NormPlacement::kPeri;
    EXPECT_EQ(grouped_norms, config.num_experts == 0 ? 0 : (two ? 2 : 1) * config.num_layers);
  }
}

TEST_P(Families, PlacesOfNorms) {
  ModelConfig config = small_model(GetParam());
  config.frac_rate = 2;
  std::map<std::string, int> sites;
  for (const auto& [name, norm] : Model(config, 1).norms()) ++sites[place_of(name).site];
  EXPECT_EQ(sites, (std::map<std::string, int>{{"block", 4}, {"qk", 4}, {"output", 1}, {"frac", 4}}));
}

TEST_P(Families, NothingIsRecordedAfterwards) {
  const auto model = trained(small_model(GetParam(), "seed_norm"));
  { const ActivationRecorder recorder(*model, 1); }
  const at::NoGradGuard no_grad;
  model->hidden(
      at::tensor(some_ids(8), at::kLong).unsqueeze(0));  // an observer of the recorder would be gone
}

std::vector<Window> windows(int64_t count) { return sliding_windows(count, 16, 16); }

// Scaling by a power of two is exact, so both are the same bits.
TEST_P(Families, ScalingTheStreamIsScalingTheEmbedding) {
  ModelConfig config = small_model(GetParam(), "seed_norm");
  config.tied = false;
  const auto model = trained(config), scaled = trained(config);
  {
    const at::NoGradGuard no_grad;
    for (const ParamInfo& p : scaled->params()) {
      if (p.role == Role::kEmbedding) Tensor(p.tensor).mul_(4);
    }
  }
  const std::vector<int64_t> ids = some_ids(40);
  const double before = score_tokens(*model, ids, windows(40), {}).nll();
  const double want = score_tokens(*scaled, ids, windows(40), {}).nll();
  EXPECT_NE(before, want);
  EXPECT_EQ(scaled_loss(*model, Scaled::kStream, 4, ids, windows(40), {}), want);
  EXPECT_EQ(score_tokens(*model, ids, windows(40), {}).nll(), before);
}

// (u(k x) alpha + gamma) k x / sqrt(k^2 mean of x^2 + eps) is the same as with k beta and eps / k^2 (Eq. 5).
TEST_P(Families, ScalingTheInputsIsScalingBeta) {
  ModelConfig config = small_model(GetParam(), "seed_norm"), other = config;
  other.norm_eps = config.norm_eps / 16;
  const auto model = trained(config), scaled = trained(other);
  {
    const at::NoGradGuard no_grad;
    for (const auto& [name, norm] : scaled->norms()) Tensor(norm->param(Param::kBeta)).mul_(4);
  }
  const std::vector<int64_t> ids = some_ids(40);
  const double before = score_tokens(*model, ids, windows(40), {}).nll();
  const double want = score_tokens(*scaled, ids, windows(40), {}).nll();
  const double got = scaled_loss(*model, Scaled::kNorms, 4, ids, windows(40), {});
  EXPECT_GT(std::fabs(want - before), 1e-3);
  EXPECT_NEAR(got, want, 1e-5);
  EXPECT_EQ(score_tokens(*model, ids, windows(40), {}).nll(), before);

  // RMSNorm differs by its eps of 1e-6 beside squares of about 0.04 alone.
  const auto plain = trained(small_model(GetParam()));
  EXPECT_NEAR(scaled_loss(*plain, Scaled::kNorms, 4, ids, windows(40), {}),
              score_tokens(*plain, ids, windows(40), {}).nll(), 1e-4);
}

TEST_P(Families, ALossThatIsNotFiniteIsNaN) {
  const auto model = trained(small_model(GetParam()));
  const std::vector<int64_t> ids = some_ids(40);
  // Beyond float32's range.
  EXPECT_TRUE(std::isnan(scaled_loss(*model, Scaled::kStream, 1e39, ids, windows(40), {})));
  EXPECT_TRUE(std::isfinite(score_tokens(*model, ids, windows(40), {}).nll()));
}

// A model of these heads from the start, batch by batch, by libtorch's own cross entropy; variances in two
// passes.
TEST_P(Families, VarianceOfGradients) {
  const std::vector<int64_t> ids = some_ids(16 * 6 + 5);
  const auto cut = windows(static_cast<int64_t>(ids.size()));  // the last one is shorter
  const auto model = trained(small_model(GetParam(), "seed_norm"));
  std::map<int64_t, double> losses;
  for (const int64_t heads : {1, 4}) {
    const auto other = trained(small_model(GetParam(), "seed_norm(num_heads=" + std::to_string(heads) + ")"));
    std::map<Param, std::vector<std::vector<Tensor>>> gradients;  // by parameter, norm and batch
    double loss_sum = 0;
    for (int64_t b = 0; b < 3; ++b) {
      std::vector<Tensor> rows;
      for (int64_t w = 2 * b; w < 2 * b + 2; ++w) {
        rows.push_back(
            at::tensor(std::vector<int64_t>(ids.begin() + 16 * w, ids.begin() + 16 * w + 17), at::kLong));
      }
      const Tensor in = at::stack(rows);
      const Tensor log_p = at::log_softmax(other->logits(in.narrow(1, 0, 16)).to(at::kDouble), -1);
      const Tensor loss = -log_p.gather(2, in.narrow(1, 1, 16).unsqueeze(2)).mean();
      for (const auto& [name, norm] : other->norms()) norm->zero_grad();
      torch::autograd::backward({loss});
      loss_sum += loss.item<double>();
      size_t n = 0;
      for (const auto& [name, norm] : other->norms()) {
        for (const Param p : {Param::kAlpha, Param::kBeta, Param::kGamma}) {
          gradients[p].resize(other->norms().size());
          gradients[p][n].push_back(norm->param(p).grad().to(at::kDouble).clone());
        }
        ++n;
      }
    }
    const GradientVariance got = gradient_variance(*model, heads, ids, cut, {.batch = 2});
    EXPECT_EQ(got.batches, 3);
    EXPECT_NEAR(got.loss, loss_sum / 3, 1e-5);
    losses[heads] = got.loss;
    const auto expect = [&](const GradientMoments& moments, Param p) {
      double variance = 0, squared_mean = 0;
      for (const std::vector<Tensor>& of_batch : gradients.at(p)) {
        const Tensor mean = (of_batch[0] + of_batch[1] + of_batch[2]) / 3;
        for (const Tensor& g : of_batch) variance += (g - mean).square().sum().item<double>() / 2;
        squared_mean += mean.square().sum().item<double>();
      }
      EXPECT_NEAR(moments.variance, variance, 1e-4 * variance) << name_of(p) << " " << heads;
      EXPECT_NEAR(moments.squared_mean, squared_mean, 1e-4 * squared_mean) << name_of(p) << " " << heads;
    };
    expect(got.alpha, Param::kAlpha);
    expect(got.beta, Param::kBeta);
    expect(got.gamma, Param::kGamma);
  }
  EXPECT_NE(losses[1], losses[4]);
}

TEST_P(Families, GradientsThatCannotBeMeasured) {
  const std::vector<int64_t> ids = some_ids(40);
  const auto model = trained(small_model(GetParam(), "seed_norm")), plain = trained(small_model(GetParam()));
  const auto refusal = [&](const Model& m, int64_t heads, int64_t batch) -> std::string {
    try {
      gradient_variance(m, heads, ids, windows(40), {.batch = batch});
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal(*model, 3, 1).find("3 heads do not divide the width"), std::string::npos);
  EXPECT_NE(refusal(*model, 16, 1).find("16 heads do not divide the width 8 of"), std::string::npos);
  EXPECT_NE(refusal(*model, 1, 2).find("two batches of 2 windows of 16 tokens"), std::string::npos);
  EXPECT_NE(refusal(*plain, 1, 1).find("no norm with a dot product"), std::string::npos);
  EXPECT_EQ(refusal(*model, 1, 1), "");
}

}  // namespace
}  // namespace seednorm::lab
