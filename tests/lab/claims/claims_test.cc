// Claims: their files, the decision rules, and the races that they run.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/claims/checks.h"
#include "lab/claims/run_claim.h"
#include "lab/language/data/tokenize.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A folder with the names of the data, but without data.
struct EmptyData {
  EmptyData() {
    for (const char* name : {"text/train", "text/valid", "digits"})
      std::filesystem::create_directories(folder.path() / name);
  }
  ClaimRun run() const {
    return {folder.path() / "out", folder.path() / "text", folder.path() / "digits", {}};
  }
  TestFolder folder;
};

TEST(Claims, EveryFileIsValidAndItsRacesCanRun) {
  const EmptyData data;
  std::set<std::string> raced;
  for (const std::string& name : claim_names()) {
    const Claim claim = load_claim(name);
    for (const Expectation& e : claim.expectations) {
      for (const std::string& race : {e.race, e.than_race}) {
        if (race.empty()) continue;
        raced.insert(race);
        const RaceSpec spec = claim_race_spec(data.run(), race);
        std::set<std::string> labels;
        for (const Entrant& entrant : spec.entrants) {
          EXPECT_NO_THROW(entrant_recipe(spec.recipe, entrant)) << race << " " << entrant.label;
          labels.insert(entrant.label.substr(0, entrant.label.rfind('@')));
        }
        for (const std::string& entrant : {e.better, e.worse, e.entrant})
          EXPECT_TRUE(entrant.empty() || labels.contains(entrant)) << name << ": " << entrant;
      }
    }
  }
  const std::vector<std::string> races = claim_race_names();
  EXPECT_EQ(raced, std::set<std::string>(races.begin(), races.end())) << "a race without a claim";
  EXPECT_GE(claim_names().size(), 14U);
}

TEST(Claims, MistakesAreNamed) {
  const std::string head = "source = \"s\"\nstatement = \"s\"\npaper = \"p\"\ndecides = \"d\"\n";
  const auto message = [&](const std::string& text) { return user_error([&] { parse_claim("x", text); }); };
  EXPECT_EQ(message(head), "x: expect: a claim needs a decision rule");
  EXPECT_EQ(message(head + "[[expect]]\nkind = \"beter\"\n"),
            "x: expect 1: kind: there is no \"beter\" (did you mean better?)");
  EXPECT_EQ(message(head + "[[expect]]\nkind = \"better\"\nrace = \"moe\"\nbetter = \"a\"\n"),
            "x: expect 1: worse: is missing");
  EXPECT_NE(message(head + "[[expect]]\nkind = \"better\"\nrace = \"moe\"\nbetter = \"a\"\nworse = \"b\"\n"
                           "margin = 1\n")
                .find("unknown key \"margin\""),
            std::string::npos);
  EXPECT_EQ(message("statement = 1\n"), "x: source: is missing");
  EXPECT_NE(message("a = ").find("x:1: "), std::string::npos);
  EXPECT_NE(user_error([] { load_claim("moe-los"); }).find("did you mean moe-loss?"), std::string::npos);
  EXPECT_NE(user_error([] {
              parse_claim_race("x", "about = \"a\"\nrecipe = \"demo\"\ndata = \"web\"\n");
            }).find("expected text or digits"),
            std::string::npos);
  EXPECT_EQ(user_error([] {
              parse_claim_race("x",
                               "about = \"a\"\nrecipe = \"demo\"\ndata = \"text\"\ninit_from = \"moe\"\n");
            }),
            "x: init_from: expected RACE/ENTRANT, got \"moe\"");
}

TEST(Claims, BetaZeroIsRmsNorm) {
  const CheckResult check = run_check("beta_zero");
  EXPECT_TRUE(check.holds) << check.text;
  EXPECT_NE(user_error([] { run_check("beta_one"); }).find("no check"), std::string::npos);
}

// The complete results of a race in which entrant e has loss(label, seed) at the end of a curve.
RaceSummary results_of(const std::string& race, const std::function<double(const std::string&, int)>& loss) {
  const EmptyData data;
  const RaceSpec spec = claim_race_spec(data.run(), race);
  RaceResult out;
  out.info = {"language", "token", {{"val_loss", "Validation loss", "nats", true}}};
  out.entrants = spec.entrants;
  for (int seed = 0; seed < spec.seeds; ++seed) {
    for (const Entrant& e : spec.entrants) {
      RacedRun run;
      run.summary.entrant = e.label;
      run.summary.seed = seed;
      run.summary.units = 1000;
      run.summary.seconds = e.label == "seed_norm" ? 1.1 : 1.0;
      const double last = loss(e.label, seed);
      run.summary.diverged = std::isnan(last);
      run.summary.values = {{"val_loss", last}};
      for (const double x : {1, 2, 3, 4}) {
        Measured m;
        m.units = m.seconds = 100 * x;
        m.values = {{"val_loss", last + (4 - x)}};
        run.curves.measured.push_back(m);
      }
      out.runs.push_back(std::move(run));
    }
  }
  return summarize("", out);
}

// Differs by seed, as the losses of two entrants do.
double noise(const std::string& label, int seed) {
  return 0.001 *
         std::sin(static_cast<double>(label.size() * 31 + static_cast<size_t>(label[0])) * (seed + 1));
}

Expectation expectation(const std::string& kind, const std::string& better, const std::string& worse) {
  Expectation e;
  e.kind = kind;
  e.race = "moe";
  e.better = better;
  e.worse = worse;
  return e;
}

Verdict verdict_of(const Expectation& e, const RaceResults& results) {
  Claim claim;
  claim.expectations = {e};
  return judge(claim, results).verdict;
}

TEST(Judge, DecidesByTheSignAndTheCorrectedP) {
  const RaceResults results = {{"moe", results_of("moe", [](const std::string& label, int seed) {
                                  const double at = label == "seed_norm" ? 2.9 : label == "dyt" ? 3.1 : 3;
                                  return at + noise(label, seed);
                                })}};
  EXPECT_EQ(verdict_of(expectation("better", "seed_norm", "rms_norm"), results), Verdict::kHolds);
  EXPECT_EQ(verdict_of(expectation("better", "rms_norm", "seed_norm"), results), Verdict::kFails);
  EXPECT_EQ(verdict_of(expectation("better", "again", "rms_norm"), results), Verdict::kUndecided);
  EXPECT_EQ(verdict_of(expectation("better", "seed_norm", "rms_norm"), {}), Verdict::kNotRun);
  Claim both;
  both.expectations = {expectation("better", "seed_norm", "rms_norm"),
                       expectation("better", "again", "rms_norm")};
  EXPECT_EQ(judge(both, results).verdict, Verdict::kUndecided);
  both.expectations.push_back(expectation("better", "dyt", "rms_norm"));
  const Judgement judgement = judge(both, results);
  EXPECT_EQ(judgement.verdict, Verdict::kFails);
  EXPECT_EQ(judgement.findings[0].verdict, Verdict::kHolds);
  EXPECT_NE(judgement.findings[0].text.find("noise floor 0.00"), std::string::npos)
      << judgement.findings[0].text;
  EXPECT_NE(judgement.findings[0].text.find("seed_norm \u2212 rms_norm: -0.1"), std::string::npos);
  EXPECT_EQ(claim_json(both, judgement)["verdict"], "fails");
  // A race that lacks a run has not been run.
  RaceResults incomplete = results;
  incomplete["moe"].runs.pop_back();
  EXPECT_EQ(verdict_of(expectation("better", "seed_norm", "rms_norm"), incomplete), Verdict::kNotRun);
}

// The more comparisons a claim announced, the smaller p must be for each.
TEST(Judge, CorrectsForTheConditionsOfTheClaim) {
  const RaceResults results = {{"moe", results_of("moe", [](const std::string& label, int seed) {
                                  return label == "seed_norm" ? 3 - 0.01 * (1 + 1.5 * (seed % 2)) : 3.0;
                                })}};
  Claim claim;
  claim.expectations = {expectation("better", "seed_norm", "rms_norm")};
  EXPECT_EQ(judge(claim, results).verdict, Verdict::kHolds);
  for (int k = 0; k < 20; ++k) claim.expectations.push_back(claim.expectations[0]);
  EXPECT_EQ(judge(claim, results).findings[0].verdict, Verdict::kUndecided);
  // Those whose race has not run yet count as well.
  for (size_t i = 1; i < claim.expectations.size(); ++i) claim.expectations[i].race = "moe-lrs";
  EXPECT_EQ(judge(claim, results).findings[0].verdict, Verdict::kUndecided);
}

TEST(Judge, MarginsRatiosAndTrends) {
  const auto run = [](double gain) {
    return [gain](const std::string& label, int seed) {
      return (label == "seed_norm" ? 3 - gain : 3) + noise(label, seed);
    };
  };
  RaceResults results = {{"moe", results_of("moe", run(0.1))}, {"dense", results_of("dense", run(0.02))}};
  Expectation e = expectation("not_worse", "again", "rms_norm");
  e.margin = 0.01;
  EXPECT_EQ(verdict_of(e, results), Verdict::kHolds);
  e.margin = 0;
  EXPECT_EQ(verdict_of(e, results), Verdict::kUndecided);
  std::swap(e.better, e.worse);
  e.better = "rms_norm";
  e.worse = "seed_norm";
  EXPECT_EQ(verdict_of(e, results), Verdict::kFails);
  e = expectation("gains_more", "seed_norm", "rms_norm");
  e.than_race = "dense";
  EXPECT_EQ(verdict_of(e, results), Verdict::kHolds);
  std::swap(e.race, e.than_race);
  EXPECT_EQ(verdict_of(e, results), Verdict::kFails);
  // The curves fall by 1 for each hundred: 0.1 lower is about a fortieth sooner.
  e = expectation("sooner", "seed_norm", "rms_norm");
  e.factor = 1.01;
  EXPECT_EQ(verdict_of(e, results), Verdict::kHolds);
  e.factor = 2;
  EXPECT_EQ(verdict_of(e, results), Verdict::kFails);
  std::swap(e.better, e.worse);
  e.factor = 1;
  EXPECT_EQ(verdict_of(e, results), Verdict::kFails);
  EXPECT_EQ(verdict_of(expectation("lead_grows", "seed_norm", "rms_norm"), results), Verdict::kUndecided);
  e = expectation("cheaper_than", "seed_norm", "rms_norm");
  e.factor = 1.2;
  EXPECT_EQ(verdict_of(e, results), Verdict::kHolds);
  e.factor = 1.01;
  EXPECT_EQ(verdict_of(e, results), Verdict::kFails);
}

TEST(Judge, RunsThatFail) {
  const RaceResults results = {{"moe", results_of("moe", [](const std::string& label, int seed) {
                                  if (label == "dyt" || (label == "again" && seed == 0)) return kNaN;
                                  return 3 + noise(label, seed);
                                })}};
  Expectation e;
  e.kind = "fails_to_converge";
  e.race = "moe";
  const auto verdict = [&](const std::string& entrant) {
    e.entrant = entrant;
    return verdict_of(e, results);
  };
  EXPECT_EQ(verdict("dyt"), Verdict::kHolds);
  EXPECT_EQ(verdict("again"), Verdict::kUndecided);
  EXPECT_EQ(verdict("rms_norm"), Verdict::kFails);
  // No pair has a value, but the one always fails and the other never does.
  EXPECT_EQ(verdict_of(expectation("better", "rms_norm", "dyt"), results), Verdict::kHolds);
  EXPECT_EQ(verdict_of(expectation("better", "dyt", "rms_norm"), results), Verdict::kFails);
}

// Small models, on text in the folder.
ClaimRun small_run(const TestFolder& folder) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "pack my box with " + std::to_string(i % 9) + " dozen liquor jugs\n";
  write(folder / "text.txt", text);
  std::filesystem::create_directory(folder / "text");
  for (const char* part : {"text/train", "text/valid"})
    tokenize({.inputs = {folder / "text.txt"}, .out = folder / part}, Tokenizer::load("byte"),
             [](const TokenizeProgress&) {});
  return {folder / "out",
          folder / "text",
          folder / "digits",
          {"steps=3", "dim=16", "num_layers=1", "num_heads=2", "num_kv_heads=2", "context=16", "batch_size=2",
           "warmup_tokens=10", "eval_every=1", "eval_batches=1", "num_experts=4", "top_k=2", "ffn_dim=8"}};
}

TEST(RunClaim, TrainsResumesAndJudgesFolders) {
  const TestFolder folder;
  const ClaimRun run = small_run(folder);
  const std::vector<Claim> claims = {load_claim("qk-per-head")};
  const RaceResults first = run_claim_races(run, claims);
  ASSERT_EQ(first.at("moe-qk").runs.size(), 15U);
  const auto file = folder.path() / "out/moe-qk/runs/all-s4/metrics.jsonl";
  const std::string written = read_file(file, 1 << 20);  // with the seconds of each step
  const RaceResults again = run_claim_races(run, claims);
  EXPECT_EQ(read_file(file, 1 << 20), written);
  const RaceResults read = read_claim_races(folder / "out");
  for (const RaceResults& results : {again, read}) {
    EXPECT_EQ(claim_json(claims[0], judge(claims[0], results)),
              claim_json(claims[0], judge(claims[0], first)));
  }
  EXPECT_NE(judge(claims[0], first).verdict, Verdict::kNotRun);
  EXPECT_NE(
      user_error([&] { run_claim_races(run, {load_claim("decay")}); }).find("script/demo vision makes it"),
      std::string::npos);
  EXPECT_NE(user_error([&] { read_claim_races(folder / "text"); }).find("has no results"), std::string::npos);
}

// The races that others begin with run first; both entrants begin with the same model.
TEST(RunClaim, UpgradesATrainedModel) {
  const TestFolder folder;
  ClaimRun run = small_run(folder);
  // Settings of experts, which a dense model does not save.
  std::erase_if(run.settings, [](const std::string& s) { return s == "num_experts=4" || s == "top_k=2"; });
  const std::vector<Claim> claims = {load_claim("upgrade")};
  const RaceResults results = run_claim_races(run, claims);
  EXPECT_NE(judge(claims[0], results).verdict, Verdict::kNotRun);
  for (const char* family : {"dense", "moe"}) {
    const RaceSummary &before = results.at(family), &after = results.at(std::string("upgrade-") + family);
    const auto first = std::find_if(before.runs.begin(), before.runs.end(),
                                    [](const RunSummary& r) { return r.entrant == "rms_norm"; });
    for (const RunSummary& r : after.runs) {
      const auto file = folder.path() / "out" / (std::string("upgrade-") + family) / r.dir / "metrics.jsonl";
      const std::string lines = read_file(file, 1 << 20);
      const auto line = nlohmann::json::parse(lines.substr(0, lines.find('\n')));
      EXPECT_EQ(line.at("step"), 0) << r.dir;
      EXPECT_EQ(line.at("metrics").at("val_loss").get<double>(), first->value("val_loss")) << r.dir;
    }
  }
  const RaceResults again = run_claim_races(run, claims);
  EXPECT_EQ(claim_json(claims[0], judge(claims[0], again)), claim_json(claims[0], judge(claims[0], results)));
}

}  // namespace
}  // namespace seednorm::lab
