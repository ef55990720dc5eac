// Races: entrants, paired differences, resumption, results.
#include <gtest/gtest.h>

#include <cmath>

#include "lab/base/file.h"
#include "lab/base/file_lock.h"
#include "lab/language/data/tokenize.h"
#include "lab/race/curve_statistics.h"
#include "lab/race/race.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

TEST(Entrants, NormsPositionsSettingsLabels) {
  const auto all = parse_entrants(
      load_recipe("demo"),
      "rms_norm,seed_norm(alpha_init=0.1, num_heads=2),best=block:seed_norm+qk:seed_norm+output:rms_norm,"
      "dyt+embedding_scale=true");
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].label, "rms_norm");
  EXPECT_EQ(all[0].settings, std::vector<std::string>{"norm=rms_norm"});
  EXPECT_EQ(all[1].label, "seed_norm(alpha_init=0.1,num_heads=2)");
  EXPECT_EQ(all[2].label, "best");
  EXPECT_EQ(all[2].settings,
            (std::vector<std::string>{"norm.block=seed_norm", "norm.qk=seed_norm", "norm.output=rms_norm"}));
  EXPECT_EQ(all[3].settings, (std::vector<std::string>{"norm=dyt", "embedding_scale=true"}));
  EXPECT_NE(user_error([] { parse_entrants(load_recipe("demo"), "rms_norm,rms_norm"); }).find("twice"),
            std::string::npos);
  EXPECT_EQ(user_error([] { parse_entrants(load_recipe("demo"), "rms_norm,seed=block:seed_norm"); }),
            "--norms: \"seed\" is the name of a setting; choose another label");
  EXPECT_NE(user_error([] { parse_entrants(load_recipe("demo"), "rms_norm,"); }).find("empty"),
            std::string::npos);
}

class RaceTest : public testing::Test {
 protected:
  RaceTest() {
    std::string text;
    for (int i = 0; i < 400; ++i)
      text += "pack my box with " + std::to_string(i % 9) + " dozen liquor jugs\n";
    write(folder_ / "text.txt", text);
    tokenize({.inputs = {folder_ / "text.txt"}, .out = folder_ / "data"}, Tokenizer::load("byte"),
             [](const TokenizeProgress&) {});
  }
  RaceSpec spec(const std::string& norms) const {
    RaceSpec s;
    s.dir = folder_ / "race";
    s.recipe = load_recipe("olmo2-0.5m");
    for (const std::string& setting : std::vector<std::string>{
             "dim=32", "num_layers=1", "num_heads=2", "num_kv_heads=1", "ffn_dim=48", "context=32",
             "batch_size=4", "steps=6", "warmup_tokens=200", "train_data=" + folder_ / "data",
             "valid_data=" + folder_ / "data", "eval_every=2", "eval_batches=1"}) {
      apply_setting(s.recipe, setting);
    }
    s.entrants = parse_entrants(s.recipe, norms);
    s.seeds = 2;
    return s;
  }
  TestFolder folder_;
};

TEST_F(RaceTest, ResultsArePairedAndResumable) {
  const RaceSpec s = spec("rms_norm,seed_norm");
  const std::vector<RacedRun> runs = race(s).runs;
  ASSERT_EQ(runs.size(), 4U);
  const auto results = nlohmann::json::parse(read_file(s.dir / "results.json", 1 << 20));
  ASSERT_EQ(results.at("runs").size(), 4U);
  // At equal FLOPs too: in a model so small, those of SeeDNorm are more than 1%.
  ASSERT_EQ(results.at("pairs").size(), 4U);
  for (const auto& pair : results["pairs"]) {
    // At equal times: nothing, where one was still before its first validation when the other was done.
    if (pair.at("metric") == "val_loss_equal_time") continue;
    EXPECT_EQ(pair.at("n"), 2) << pair;
    EXPECT_LE(pair.at("ci95")[0], pair.at("mean_diff"));
    EXPECT_GE(pair.at("ci95")[1], pair.at("mean_diff"));
  }
  // Paired: with beta = 0 both begin as the same function, and they see the same data.
  const auto first_loss = [&](const RacedRun& r) {
    const std::string metrics = read_file(s.dir / r.summary.dir / "metrics.jsonl", 1 << 20);
    return nlohmann::json::parse(metrics.substr(0, metrics.find('\n'))).at("loss").get<double>();
  };
  EXPECT_EQ(first_loss(runs[0]), first_loss(runs[1]));
  EXPECT_EQ(first_loss(runs[2]), first_loss(runs[3]));
  EXPECT_NE(first_loss(runs[0]), first_loss(runs[2]));
  // Again: nothing is trained a second time, and a run that is missing is made.
  fs::remove_all(s.dir / runs[3].summary.dir);
  const std::vector<RacedRun> again = race(s).runs;
  ASSERT_EQ(again.size(), 4U);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(again[i].summary.value("val_loss"), runs[i].summary.value("val_loss")) << i;
  EXPECT_NE(user_error([&] { race(spec("rms_norm,dyt")); }).find("another race"), std::string::npos);
}

// Finished runs with the same settings are copied from other races, whatever the entrants are called there.
TEST_F(RaceTest, EqualRunsOfOtherRacesAreCopied) {
  RaceSpec first = spec("rms_norm,seed_norm");
  const std::vector<RacedRun> runs = race(first).runs;
  fs::remove(first.dir / runs[2].summary.dir / "result.json");  // not finished, so not copied
  RaceSpec second = spec("see=seed_norm,plain=rms_norm,other=rms_norm+seed_shift=1000");
  second.dir = folder_ / "second";
  second.share_runs_of = {folder_ / "missing", first.dir};
  const std::vector<RacedRun> shared = race(second).runs;
  ASSERT_EQ(shared.size(), 6U);
  const auto log_of = [](const fs::path& race, const RacedRun& r) {
    return read_file(race / r.summary.dir / "metrics.jsonl", 1 << 20);  // with the seconds of each step
  };
  EXPECT_EQ(log_of(second.dir, shared[0]), log_of(first.dir, runs[1]));
  EXPECT_EQ(log_of(second.dir, shared[1]), log_of(first.dir, runs[0]));
  EXPECT_EQ(log_of(second.dir, shared[3]), log_of(first.dir, runs[3]));
  EXPECT_NE(log_of(second.dir, shared[4]), log_of(first.dir, runs[2]));
  EXPECT_NE(log_of(second.dir, shared[2]), log_of(first.dir, runs[0]));
  EXPECT_EQ(shared[4].summary.value("val_loss"), runs[2].summary.value("val_loss"));
  EXPECT_FALSE(fs::exists(second.dir / ".run-copy"));
  // Their times are of another race.
  EXPECT_EQ(read_file(second.dir / "results.json", 1 << 20).find("_equal_time"), std::string::npos);
  EXPECT_NE(read_file(first.dir / "results.json", 1 << 20).find("_equal_time"), std::string::npos);
  const RaceSummary summary = summarize("", race(second));
  for (const ReachSummary& reach : summary.reach) EXPECT_EQ(reach.of, "units");
  EXPECT_EQ(race(second).runs.size(), 6U);
}

// An entrant with more FLOPs for a token is compared where it has spent those of the other.
TEST_F(RaceTest, ValuesAtEqualFlops) {
  RaceSpec s = spec("rms_norm,wide=rms_norm+ffn_dim=96");
  s.seeds = 1;
  const RaceResult result = race(s);
  const RaceSummary summary = summarize("", result);
  const RunSummary &narrow = summary.runs[0], &wide = summary.runs[1];
  EXPECT_EQ(summary.equal_flops, narrow.flops());
  EXPECT_EQ(narrow.value("val_loss_equal_flops"), narrow.value("val_loss"));
  // Three validations: after steps 2, 4 and 6, of which the wide one had FLOPs for less than 6.
  const double step = 6 * narrow.flops_per_unit / wide.flops_per_unit;
  ASSERT_TRUE(step > 4 && step < 6) << step;
  const Curve curve = curve_of(result.runs[1].curves.measured, "val_loss", Axis::kUnits);
  const auto value = [&](size_t k) { return curve.at(k).second; };
  EXPECT_NEAR(wide.value("val_loss_equal_flops"), value(1) + (step - 4) / 2 * (value(2) - value(1)), 1e-12);
  // Again from the results of the runs.
  EXPECT_EQ(race_summary_json(summarize("", race(s))), race_summary_json(summary));
  // Equal models have no such values.
  s.dir = folder_ / "equal";
  s.entrants = parse_entrants(s.recipe, "rms_norm,again=rms_norm+seed_shift=5");
  EXPECT_TRUE(std::isnan(summarize("", race(s)).equal_flops));
}

// An entrant with other initial weights has the data and the seed of its pair, and measures the noise.
TEST_F(RaceTest, EqualEntrantsWithOtherWeightsMeasureTheNoise) {
  const RaceSpec s = spec("rms_norm,again=rms_norm+seed_shift=1000");
  const RaceResult result = race(s);
  ASSERT_EQ(result.runs.size(), 4U);
  EXPECT_EQ(result.runs[1].summary.seed, 0);
  EXPECT_EQ(result.runs[1].summary.dir, "runs/again-s0");
  const auto setting = [&](size_t k, const std::string& key) {
    const Recipe recipe = load_recipe((s.dir / result.runs[k].summary.dir / "config.toml").string());
    for (const auto& [name, value] : recipe.values()) {
      if (name == key) return value;
    }
    return std::string();
  };
  EXPECT_EQ(setting(1, "seed"), "1000");
  EXPECT_EQ(setting(3, "seed"), "1001");
  EXPECT_EQ(setting(3, "data_seed"), setting(2, "data_seed"));
  EXPECT_NE(result.runs[0].summary.value("val_loss"), result.runs[1].summary.value("val_loss"));
  const auto results = nlohmann::json::parse(read_file(s.dir / "results.json", 1 << 20));
  EXPECT_EQ(results.at("noise").at(0).at("b"), "again");
  EXPECT_GT(results["noise"][0].at("floor"), 0);
  EXPECT_EQ(results.at("runs").at(1).at("convergence"), "converged");
  EXPECT_NE(user_error([&] { race(spec("rms_norm,again=rms_norm+seed_shift=x")); }).find("seed_shift"),
            std::string::npos);
}

TEST_F(RaceTest, DivergedRunsAreResults) {
  RaceSpec s = spec("rms_norm,wild=rms_norm+lr=1e30+grad_clip=0");
  s.seeds = 1;
  apply_setting(s.recipe, "warmup_tokens=0");
  const RaceResult result = race(s);
  ASSERT_EQ(result.runs.size(), 2U);
  EXPECT_FALSE(result.runs[0].summary.diverged);
  EXPECT_TRUE(result.runs[1].summary.diverged);
  EXPECT_EQ(summarize("", result).pairs[0].n, 0);
  const std::string table = race_table(summarize("", result));
  EXPECT_EQ(table.find("0.0000"), std::string::npos) << table;  // a diverged run has no loss
  EXPECT_TRUE(race(s).runs[1].summary.diverged);
}

TEST_F(RaceTest, EntrantsMayDifferInTheirOptimizer) {
  RaceSpec s = spec("rms_norm,muon=rms_norm+optimizer=muon");
  s.seeds = 1;
  const RaceResult result = race(s);
  ASSERT_EQ(result.runs.size(), 2U);
  EXPECT_FALSE(result.runs[1].summary.diverged);
  EXPECT_NE(result.runs[0].summary.value("val_loss"), result.runs[1].summary.value("val_loss"));
}

TEST_F(RaceTest, EntrantsThatOnlySaveMemoryAreEqual) {
  RaceSpec s = spec("a=rms_norm,b=rms_norm+micro_batch_size=1");
  const RaceResult result = race(s);
  for (size_t k : {0, 2}) {
    EXPECT_NEAR(result.runs[k].summary.value("val_loss"), result.runs[k + 1].summary.value("val_loss"), 1e-4);
  }
}

TEST_F(RaceTest, EntrantsThatCannotBeComparedAreRefused) {
  const auto message = [&](const std::string& entrant) {
    return user_error([&] { race(spec("rms_norm,other=rms_norm+" + entrant)); });
  };
  for (const std::string& setting :
       {std::string("context=16"), std::string("eval_rows=8"), std::string("eval_batches=8"),
        std::string("vocab_size=300"), "valid_data=" + folder_ / "nowhere"}) {
    EXPECT_NE(message(setting).find("cannot be compared"), std::string::npos) << message(setting);
  }
  EXPECT_NE(message("seed=3").find("same seeds"), std::string::npos);
  EXPECT_NE(message("data_seed=3").find("same seeds"), std::string::npos);
  EXPECT_NE(message("dim=33").find("--norms: other: "), std::string::npos);
  // A mistake leaves nothing behind that would make the mended race another one.
  EXPECT_NE(user_error([&] {
              RaceSpec s = spec("rms_norm");
              apply_setting(s.recipe, "train_data=" + folder_ / "nowhere");
              race(s);
            }).find("nowhere"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "race"));
}

TEST_F(RaceTest, AKilledFirstWriteBlocksNothing) {
  const RaceSpec s = spec("rms_norm");
  fs::create_directories(s.dir);
  const fs::path partial = s.dir / "race.json.partial-12";
  write(partial.string(), "{");
  EXPECT_EQ(race(s).runs.size(), 2U);
  EXPECT_FALSE(fs::exists(partial));
  const fs::path run = s.dir / "runs/rms_norm-s0", config = run / "config.toml.partial-12";
  fs::remove_all(run);
  fs::create_directories(run);
  write(config.string(), "dim");
  EXPECT_EQ(race(s).runs.size(), 2U);
  EXPECT_FALSE(fs::exists(config));
}

TEST_F(RaceTest, OneProcessAtATime) {
  const RaceSpec s = spec("rms_norm");
  fs::create_directories(s.dir);
  const FileLock held(s.dir);
  EXPECT_NE(user_error([&] { race(s); }).find("is in use by"), std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab
