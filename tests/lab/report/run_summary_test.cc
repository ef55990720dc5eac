// What files say of runs and races comes back as it was written; damaged members do no harm.
#include "lab/report/run_summary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

RunSummary run_of(const std::string& entrant, int64_t seed, double seconds, bool diverged = false) {
  RunSummary run;
  run.entrant = entrant;
  run.seed = seed;
  run.dir = "runs/" + entrant + "-s" + std::to_string(seed);
  run.steps = 50;
  run.units = 6400;
  run.seconds = seconds;
  run.diverged = diverged;
  run.values = {{"top1", 0.5}, {"train_loss", diverged ? kNaN : 2.25}, {"tasks/piqa", 0.625}};
  return run;
}

RaceSummary race_of_images() {
  RaceSummary race;
  race.recipe = "vit-small";
  race.info = {
      "classify",
      "image",
      {{"top1", "Top-1 accuracy", "%", false}, {"train_loss", "Training loss", "nats per image", true}}};
  race.runs = {run_of("rms_norm", 0, 10), run_of("dyt", 0, 8, true)};
  race.runs[1].diverged_at = 20;
  race.pairs = {{"rms_norm", "dyt", "top1", 2, 0.5, 0.25, 0.75, 0.01, 0.03},
                {"rms_norm", "dyt", "train_loss", 1, 0.5, kNaN, kNaN, std::nullopt, std::nullopt}};
  race.equal_time_s = equal_time(race.runs);
  race.equal_flops = 6.5e9;
  race.runs[0].flops_per_unit = 1.25e6;
  race.machine = {{"cores", 2}};
  race.runs[1].convergence = "diverged";
  race.reach = {{"rms_norm", "dyt", "top1", "units", {2, 0.8, 0.5, 1.25}}};
  race.trends = {{"rms_norm", "dyt", "top1", {2, -0.1, -0.2, 0}}};
  race.noise = {{"rms_norm", "again", "top1", 2, 0.25}};
  race.sweeps = {{"rms_norm", "top1", {1e-3, 2e-3}, {50, kNaN}, 1e-3, 50, true}};
  race.tuned = {race.pairs[0]};
  return race;
}

TEST(RunSummary, ComesBackAsItWasWritten) {
  const RaceSummary race = race_of_images();
  const Json json = race_summary_json(race);
  EXPECT_EQ(race_summary_json(race_summary(Json::parse(json.dump()), {})), json);
  const Json& run = json["runs"][0];
  EXPECT_EQ(run["norm"], "rms_norm");
  EXPECT_EQ(run["images"], 6400);
  EXPECT_EQ(run["images_per_s"], 640);
  EXPECT_EQ(run["top1"], 0.5);
  EXPECT_EQ(run["tasks"], Json({{"piqa", 0.625}}));
  EXPECT_FALSE(run.contains("diverged_at"));
  EXPECT_EQ(json["runs"][1]["diverged_at"], 20);
  EXPECT_EQ(json["runs"][1]["train_loss"], nullptr);
  EXPECT_EQ(json["pairs"][0]["p_holm"], 0.03);
  EXPECT_FALSE(json["pairs"][1].contains("p"));
  EXPECT_EQ(json["pairs"][1]["ci95"], Json({nullptr, nullptr}));
  EXPECT_EQ(json["runs"][1]["convergence"], "diverged");
  EXPECT_EQ(json["reach"][0]["ci95"], Json({0.5, 1.25}));
  EXPECT_EQ(json["trends"][0]["slope"], -0.1);
  EXPECT_EQ(json["noise"][0]["floor"], 0.25);
  EXPECT_EQ(json["sweeps"][0]["means"], Json({50, nullptr}));
  EXPECT_EQ(json["tuned"][0], json["pairs"][0]);
  EXPECT_EQ(run["flops_per_image"], 1.25e6);
  EXPECT_FALSE(json["runs"][1].contains("flops_per_image"));
  EXPECT_EQ(json["equal_flops"], 6.5e9);
  EXPECT_EQ(json["equal_time_s"], 10);  // that of the diverged run does not count
  const Json info = run_info_json(race.info);
  EXPECT_EQ(info["format"], 1);
  EXPECT_EQ(run_info_json(run_info(info).value()), info);
}

TEST(RunSummary, ADivergedRunHasNoValues) {
  const RaceSummary race = race_of_images();
  EXPECT_EQ(race.runs[0].value("top1"), 0.5);
  EXPECT_TRUE(std::isnan(race.runs[0].value("other")));
  EXPECT_TRUE(std::isnan(race.runs[1].value("top1")));
}

TEST(RunSummary, DamagedMembersCountAsMissing) {
  const RunInfo language = {"language", "token", {}};
  const Json json =
      Json::parse(R"({"recipe": 7, "equal_time_s": "x", "metrics": [1, {"name": "a"}], "runs": [7, {},
    {"norm": "a", "seed": 1e300, "tokens": [], "seconds": null, "diverged": 1, "val_loss": "much", "valid": {"x": "y"}}],
    "pairs": [{"a": "x"}, {"a": "x", "b": "y", "metric": "m", "ci95": [1], "n": null}]})");
  const RaceSummary race = race_summary(json, language);
  EXPECT_EQ(race.info.unit, "token");
  EXPECT_TRUE(std::isnan(race.equal_time_s));
  ASSERT_EQ(race.runs.size(), 1U);
  EXPECT_EQ(race.runs[0].seed, 0);
  EXPECT_FALSE(race.runs[0].diverged);
  EXPECT_TRUE(std::isnan(race.runs[0].units_per_s()));
  ASSERT_EQ(race.pairs.size(), 1U);
  EXPECT_TRUE(std::isnan(race.pairs[0].low));
  EXPECT_TRUE(race_summary(Json::array(), language).runs.empty());
}

TEST(RunSummary, FindsMetrics) {
  const std::vector<MetricInfo> metrics = race_of_images().info.metrics;
  EXPECT_EQ(find_metric(metrics, "top1")->unit, "%");
  EXPECT_EQ(find_metric(metrics, "top1_equal_time")->title, "Top-1 accuracy at equal time");
  EXPECT_FALSE(find_metric(metrics, "top1_equal_time")->lower_is_better);
  EXPECT_FALSE(find_metric(metrics, "other_equal_time"));
  EXPECT_EQ(find_metric(metrics, "top1_equal_flops")->title, "Top-1 accuracy at equal FLOPs");
}

TEST(EqualTime, IsWhenTheFastestEntrantHadFinished) {
  // a: slowest run 12; b: 11, although its other run was slower than a's.
  EXPECT_EQ(equal_time({run_of("a", 0, 9), run_of("a", 1, 12), run_of("b", 0, 10), run_of("b", 1, 11)}), 11);
  EXPECT_EQ(equal_time({run_of("a", 0, 9), run_of("c", 0, 3, true)}), 9);
  EXPECT_TRUE(std::isnan(equal_time({})));
}

TEST(EqualFlops, AreThoseOfTheCheapestEntrant) {
  const auto run = [](const std::string& entrant, int64_t units, double flops_per_unit,
                      bool diverged = false) {
    RunSummary out = run_of(entrant, 0, 1, diverged);
    out.units = units;
    out.flops_per_unit = flops_per_unit;
    return out;
  };
  EXPECT_EQ(equal_flops({run("a", 100, 5), run("b", 100, 4), run("c", 10, 1, /*diverged=*/true)}), 400);
  EXPECT_TRUE(std::isnan(equal_flops({run("a", 100, 5), run("b", 100, 5.04)}))) << "less than 1%";
  EXPECT_TRUE(std::isnan(equal_flops({run("a", 100, 5), run("b", 100, kNaN)}))) << "unknown";
  EXPECT_TRUE(std::isnan(equal_flops({})));
}

TEST(EqualTime, ReadsACurve) {
  const std::vector<std::pair<double, double>> curve = {{1, 5}, {2, 4}, {4, 3}};
  EXPECT_TRUE(std::isnan(value_at(curve, 0.5)));
  EXPECT_EQ(value_at(curve, 1), 5);
  EXPECT_EQ(value_at(curve, 3), 3.5);
  EXPECT_EQ(value_at(curve, 4), 3);
  EXPECT_EQ(value_at(curve, 9), 3);  // the run had finished
  EXPECT_TRUE(std::isnan(value_at(curve, kNaN)));
  EXPECT_TRUE(std::isnan(value_at({}, 1)));
}

TEST(Spread, LeavesOutWhatIsMissing) {
  const Spread some = spread({1, kNaN, 2, 3});
  EXPECT_EQ(some.n, 3);
  EXPECT_EQ(some.mean, 2);
  EXPECT_EQ(some.sd, 1);
  EXPECT_TRUE(std::isnan(spread({1}).sd));
  EXPECT_TRUE(std::isnan(spread({kNaN}).mean));
}

}  // namespace
}  // namespace seednorm::lab
