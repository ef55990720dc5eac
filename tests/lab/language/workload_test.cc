// The workload of language models: what training begins with, and what it minimizes.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/language/data/tokenize.h"
#include "lab/language/interop/model_dir.h"
#include "lab/language/workload.h"
#include "lab/race/race.h"
#include "lab/recipes/workloads.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

class LanguageRuns : public testing::TestWithParam<std::string> {
 protected:
  LanguageRuns() {
    std::string text;
    for (int i = 0; i < 400; ++i)
      text += "pack my box with " + std::to_string(i % 9) + " dozen liquor jugs\n";
    write(folder_ / "text.txt", text);
    tokenize({.inputs = {folder_ / "text.txt"}, .out = folder_ / "data"}, Tokenizer::load("byte"),
             [](const TokenizeProgress&) {});
  }

  Recipe recipe(const std::vector<std::string>& settings = {}) const {
    Recipe out = load_recipe(GetParam());
    apply_settings(out,
                   {"dim=32", "num_layers=2", "num_heads=2", "num_kv_heads=1", "ffn_dim=48", "context=32",
                    "batch_size=4", "steps=4", "warmup_tokens=200", "train_data=" + folder_ / "data",
                    "valid_data=" + folder_ / "data", "eval_every=2", "eval_batches=2"});
    if (GetParam().starts_with("olmoe")) apply_settings(out, {"num_experts=4", "top_k=2"});
    apply_settings(out, settings);
    return out;
  }

  // The last checkpoint of a run, and its validation loss.
  fs::path trained(const std::string& name, const std::vector<std::string>& settings,
                   double* loss = nullptr) const {
    const RunResult result = train_run(run_spec(recipe(settings), folder_ / name));
    if (loss != nullptr) *loss = result.measured.at("valid").at("data");
    return fs::path(folder_ / name) / "checkpoints/step-00000004";
  }

  // Why training does not begin; empty if it does.
  std::string refusal(const std::vector<std::string>& settings) const {
    try {
      make_workload(recipe(settings));
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  }

  TestFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Models, LanguageRuns, testing::Values("olmo2-0.5m", "olmoe-0.5m"),
                         [](const auto& i) { return i.param.substr(0, i.param.find('-')); });

nlohmann::json first_line(const fs::path& run) {
  const std::string metrics = read_file(run / "metrics.jsonl", 1 << 20);
  return nlohmann::json::parse(metrics.substr(0, metrics.find('\n')));
}

TEST_P(LanguageRuns, ARaceBeginsWithOneModelWhateverTheNorm) {
  double loss = 0;
  const fs::path weights = trained("plain", {}, &loss);
  RaceSpec spec;
  spec.dir = folder_ / "race";
  spec.recipe = recipe({"init_from=" + weights.string()});
  spec.entrants = parse_entrants(
      spec.recipe, "rms_norm,seed_norm,heads=seed_norm(num_heads=4),again=rms_norm+seed_shift=9");
  spec.seeds = 2;
  const RaceResult result = race(spec);
  ASSERT_EQ(result.runs.size(), 8U);
  std::set<double> ends;
  for (const RacedRun& run : result.runs) {
    const nlohmann::json line = first_line(spec.dir / run.summary.dir);
    EXPECT_EQ(line.at("step"), 0);
    EXPECT_EQ(line.at("tokens"), 0);
    EXPECT_EQ(line.at("metrics").at("val_loss").get<double>(), loss) << run.summary.dir;  // to the bit
    ends.insert(run.summary.value("val_loss"));
  }
  // Data differ by seed and norms from the first step on; another seed of the weights is the same run.
  EXPECT_EQ(ends.size(), 6U);
  const RaceSummary summary = summarize("", result);
  EXPECT_TRUE(summary.noise.empty());
  for (const RunSummary& run : summary.runs) EXPECT_EQ(run.convergence, "converged");
}

TEST_P(LanguageRuns, TrainedSeeDNormGoesOn) {
  double loss = 0;
  const fs::path weights = trained("seed", {"norm=seed_norm", "lr=0.01"}, &loss);
  const RunResult result =
      train_run(run_spec(recipe({"norm=seed_norm", "init_from=" + weights.string()}), folder_ / "on"));
  EXPECT_EQ(first_line(folder_ / "on").at("metrics").at("val_loss").get<double>(), loss);
  EXPECT_EQ(result.steps, 4);
  // The context may be another one.
  EXPECT_EQ(refusal({"norm=seed_norm", "context=16", "init_from=" + weights.string()}), "");
  // Its dynamic part has no counterpart in RMSNorm, nor with other options.
  EXPECT_NE(refusal({"init_from=" + weights.string()}).find(": rms_norm begins as no other norm"),
            std::string::npos);
  EXPECT_NE(refusal({"norm=seed_norm(num_heads=2)", "init_from=" + weights.string()})
                .find("begins as rms_norm, not as seed_norm"),
            std::string::npos);
}

TEST_P(LanguageRuns, WhatDoesNotFitIsNamed) {
  const fs::path weights = trained("plain", {});
  const std::string from = "init_from=" + weights.string();
  EXPECT_EQ(refusal({from}), "");
  EXPECT_EQ(refusal({from, "num_layers=3"}),
            "init_from: " + weights.string() + ": num_layers is 2 there and 3 here; set num_layers=2");
  EXPECT_NE(refusal({from, "norm_placement=peri"}).find("norm_placement is "), std::string::npos);
  EXPECT_EQ(
      refusal({from, "norm_placement=" + std::string(GetParam() == "olmo2-0.5m" ? "reordered" : "pre")}), "");
  EXPECT_NE(refusal({from, "norm_eps=1e-3"}).find("norm_eps is "), std::string::npos);
  EXPECT_NE(refusal({from, "norm=layer_norm"}).find("layer_norm begins as no other norm"), std::string::npos);
  EXPECT_NE(refusal({from, "norm.qk=seed_norm(sigma=sigmoid)"}).find("sigmoid(0) is not 0"),
            std::string::npos);
  EXPECT_NE(refusal({"init_from=" + folder_ / "plain"}).find("has no config.json"), std::string::npos);
  // A tokenizer of another vocabulary order is another one, even with as many ids.
  fs::copy(weights, folder_ / "other");
  nlohmann::json tokenizer =
      nlohmann::json::parse(read_file(fs::path(folder_ / "other") / kTokenizerFile, 1 << 20));
  auto& vocabulary = tokenizer.at("model").at("vocab");
  std::swap(vocabulary.begin().value(), std::next(vocabulary.begin()).value());
  replace_file(fs::path(folder_ / "other") / kTokenizerFile, tokenizer.dump());
  EXPECT_NE(refusal({"init_from=" + folder_ / "other"}).find("its tokenizer.json is not that of train_data"),
            std::string::npos);
}

// The z-loss of the head is a part of what is minimized, and of nothing that is compared.
TEST_P(LanguageRuns, ZLossIsAnotherPart) {
  const auto plain = make_workload(recipe()), with_z = make_workload(recipe({"z_loss_multiplier=0.5"}));
  const Batch batch = plain->batch(0, {0, 4});
  const Loss a = plain->loss(batch, 0.25), b = with_z->loss(batch, 0.25);
  EXPECT_NEAR(a.parts[0].second.item<double>(), b.parts[0].second.item<double>(), 1e-5);
  ASSERT_EQ(b.parts[1].first, "z_loss");
  const double z = b.parts[1].second.item<double>(), more = b.total.item<double>() - a.total.item<double>();
  // Of 257 logits near 0 the logarithm of the sum is log 257 at first; a quarter of the mean over rows.
  EXPECT_NEAR(z, 0.25 * std::pow(std::log(257.0), 2), 0.5);
  EXPECT_NEAR(more, 0.5 * z, 1e-5);
  EXPECT_EQ(plain->probes()[0]->run(Group::alone()).values, with_z->probes()[0]->run(Group::alone()).values);
}

}  // namespace
}  // namespace seednorm::lab
