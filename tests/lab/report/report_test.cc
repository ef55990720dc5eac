// The page of a race: its data, what users named, and damaged folders.
#include "lab/report/report.h"

#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kEvil = "</script><script>alert(1)</script>";

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The JSON in the page, which must end with the element's end tag and nothing before it.
json data_of(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const size_t at = page.find(begin) + begin.size();
  const std::string text = page.substr(at, page.find("</script>", at) - at);
  EXPECT_EQ(text.find('<'), std::string::npos);
  return json::parse(text);
}

std::string metrics(int steps, double last_loss) {
  std::string out;
  for (int step = 1; step <= steps; ++step) {
    const json line = {{"step", step},
                       {"tokens", step * 100},
                       {"seconds", step * 0.5},
                       {"loss", last_loss + 0.01 * (steps - step)},
                       {"loss_ema", last_loss + 0.02 * (steps - step)},
                       {"grad_norm", 1.5}};
    out += line.dump() + "\n";
  }
  const json valid = {{"step", steps},
                      {"tokens", steps * 100},
                      {"seconds", steps * 0.5},
                      {"valid", {{"a", last_loss}, {"b", last_loss + 1}}},
                      {"norms", {{"layers.0.norm", {{"saturated", 0.25}, {"alpha", nullptr}}}}},
                      {"tasks", {{"piqa", 0.625}}},
                      {"sample", "In the <beginning>"}};
  return out + valid.dump() + "\n";
}

json run_json(const std::string& label, const std::string& dir, double loss) {
  return {{"norm", label},  {"seed", 0},           {"steps", 4},
          {"tokens", 400},  {"train_loss", loss},  {"val_loss", loss + 1},
          {"seconds", 2.0}, {"tokens_per_s", 200}, {"diverged", false},
          {"dir", dir}};
}

class ReportTest : public testing::Test {
 protected:
  // A race of two, the second label as hostile as can be; three pairs of runs are claimed.
  void write_race() {
    for (const char* run : {"runs/rms_norm-s0", "runs/evil-s0"}) {
      fs::create_directories(folder_ / run);
      write(folder_ / run + "/config.toml", "about = \"" + kEvil + "\"\nsteps = 4\nseed = 0\n");
      write(folder_ / run + "/metrics.jsonl", metrics(4, 3));
    }
    write(folder_ / "race.json", race_.dump());
    write(folder_ / "results.json", results_.dump());
  }

  json report() { return report({folder_.path()}); }
  json report(const std::vector<fs::path>& dirs) {
    write_report(dirs, folder_ / "report.html");
    page_ = slurp(folder_ / "report.html");
    return data_of(page_);
  }

  static bool has_note(const json& data, const std::string& part) {
    for (const json& note : data["notes"]) {
      if (note.get<std::string>().find(part) != std::string::npos) return true;
    }
    return false;
  }

  TestFolder folder_;
  std::string page_;
  json race_ = {{"recipe", "steps = 4\n"},
                {"seeds", 1},
                {"entrants",
                 {{{"label", "rms_norm"}, {"settings", {"norm=rms_norm"}}},
                  {{"label", kEvil}, {"settings", {"norm.block=seed_norm(alpha_init=0.1)", "lr=1"}}}}}};
  json results_ = {
      {"recipe", "olmo2-3m"},
      {"runs", {run_json("rms_norm", "runs/rms_norm-s0", 3), run_json(kEvil, "runs/evil-s0", 2.9)}},
      {"pairs",
       {{{"a", "rms_norm"},
         {"b", kEvil},
         {"metric", "val_loss"},
         {"mean_diff", -0.0123},
         {"ci95", {-0.0163, -0.0083}},
         {"n", 3}}}}};
};

TEST_F(ReportTest, HoldsTheRace) {
  write_race();
  const json data = report();
  ASSERT_EQ(data["groups"].size(), 1U);
  const json& group = data["groups"][0];
  EXPECT_EQ(group["recipe"], "olmo2-3m");
  EXPECT_EQ(group["entrants"], json({"rms_norm", kEvil}));
  EXPECT_EQ(group["pairs"], results_["pairs"]);
  EXPECT_EQ(group["config"], "steps = 4\n");
  EXPECT_EQ(group["command"], "seednorm race race.toml --norms 'rms_norm," + kEvil +
                                  "=block:seed_norm(alpha_init=0.1)+lr=1' --seeds 1 --out NEW_FOLDER");
  ASSERT_EQ(data["runs"].size(), 2U);
  const json& run = data["runs"][1];
  EXPECT_EQ(run["entrant"], kEvil);
  EXPECT_EQ(run["state"], "finished");
  EXPECT_EQ(run["values"]["val_loss"], 3.9);
  const json& train = run["train"];
  EXPECT_EQ(train["units"], json({100, 200, 300, 400}));
  EXPECT_EQ(train["loss"], json({3.03, 3.02, 3.01, 3}));
  EXPECT_EQ(train["ema"], json({3.06, 3.04, 3.02, 3}));
  EXPECT_EQ(run["measured"][0]["values"],
            json({{"valid/a", 3}, {"valid/b", 4}, {"val_loss", 3.5}, {"tasks/piqa", 0.625}}));
  EXPECT_EQ(run["norms"][0]["norms"]["layers.0.norm"], json({{"saturated", 0.25}}));
  EXPECT_EQ(run["samples"][0]["items"], json({{{"text", "In the <beginning>"}}}));
  EXPECT_EQ(group["unit"], "token");
  std::map<std::string, std::string> charts;
  for (const json& metric : group["metrics"]) charts[metric["name"]] = metric["chart"];
  EXPECT_EQ(charts["val_loss"], "val_loss");
  EXPECT_EQ(charts["valid/a"], "val_loss");
  EXPECT_EQ(charts["tasks/piqa"], "tasks");
  EXPECT_EQ(charts["train_loss"], "train_loss");
  EXPECT_EQ(data["notes"], json::array());
  EXPECT_TRUE(data["machine"].contains("compiler"));
}

TEST_F(ReportTest, HoldsTheStatistics) {
  const json interval = {-0.02, 0.01};
  results_["reach"] = {{{"a", "rms_norm"},
                        {"b", kEvil},
                        {"metric", "val_loss"},
                        {"of", "units"},
                        {"ratio", 0.8},
                        {"ci95", interval},
                        {"n", 3}}};
  results_["trends"] = {{{"a", "rms_norm"},
                         {"b", kEvil},
                         {"metric", "val_loss"},
                         {"slope", -0.01},
                         {"ci95", interval},
                         {"n", 3}}};
  results_["noise"] = {{{"a", "rms_norm"}, {"b", kEvil}, {"metric", "val_loss"}, {"floor", 0.01}, {"n", 3}}};
  results_["sweeps"] = {{{"entrant", kEvil},
                         {"metric", "val_loss"},
                         {"lrs", {0.001, 0.002}},
                         {"means", {3.1, nullptr}},
                         {"best_lr", 0.001},
                         {"best", 3.1},
                         {"at_edge", true}}};
  results_["tuned"] = results_["pairs"];
  results_["runs"][1]["convergence"] = "blew_up";
  write_race();
  const json data = report();
  for (const char* key : {"reach", "trends", "noise", "sweeps", "tuned"})
    EXPECT_EQ(data["groups"][0][key], results_[key]) << key;
  EXPECT_EQ(data["runs"][1]["convergence"], "blew_up");
  EXPECT_NE(data["answer"].get<std::string>().find(kEvil + " blew up in 1 of 1 run"), std::string::npos);
}

TEST_F(ReportTest, CommandOfASweep) {
  race_["entrants"] = json::array();
  for (const std::string norm : {"rms_norm", "seed_norm(alpha_init=0.1)"}) {
    for (const std::string rate : {"1e-3", "2e-3"})
      race_["entrants"].push_back(
          {{"label", norm + "@" + rate}, {"settings", {"norm=" + norm, "lr=" + rate}}});
  }
  write_race();
  EXPECT_EQ(report()["groups"][0]["command"],
            "seednorm race race.toml --norms 'rms_norm,seed_norm(alpha_init=0.1)' --lrs 1e-3,2e-3 --seeds 1 "
            "--out NEW_FOLDER");
}

// The pictures of the first batch, once for a race, and the last counts of each class. Damaged ones are left
// out.
TEST_F(ReportTest, PicturesAndClasses) {
  write_race();
  const std::string png = "\x89PNG\r\n\x1a\n and more";
  write(folder_ / "runs/rms_norm-s0/first_batch.png", png);
  write(folder_ / "runs/evil-s0/first_batch.png", "GIF");
  const std::string counts =
      R"({"step":4,"accuracy":{"weights":{"classes":{"a":[5,1]}},"average":{"classes":{"a":[5,2],"b":[5,5],"c":[1,-1],"d":7}}}})";
  write(folder_ / "runs/rms_norm-s0/metrics.jsonl",
        metrics(4, 3) + R"({"step":2,"accuracy":{"weights":{"classes":{"a":[5,0]}}}})" + "\n" + counts +
            "\n" + R"({"step":4,"accuracy":{"average":7}})" + "\n");
  const json data = report();
  EXPECT_EQ(data["groups"][0]["first_batch"], "iVBORw0KGgogYW5kIG1vcmU=");
  EXPECT_EQ(data["runs"][0]["classes"], json({{"step", 4}, {"classes", {{"a", {5, 2}}, {"b", {5, 5}}}}}));
  EXPECT_FALSE(data["runs"][1].contains("classes"));
  EXPECT_TRUE(has_note(data, "first_batch.png was left out: not PNG, or larger than 3 MB."));
}

TEST_F(ReportTest, SaysTheAnswer) {
  results_["pairs"][0]["b"] = race_["entrants"][1]["label"] = results_["runs"][1]["norm"] = "seed_norm";
  write_race();
  const std::string head = "Validation loss, seed_norm \u2212 rms_norm: ";
  EXPECT_EQ(report()["title"], "rms_norm and seed_norm in olmo2-3m, 4 steps");
  EXPECT_EQ(report()["answer"],
            head + "\u22120.0123 \u00b1 0.0040 nats per token (95% interval, n = 3): seed_norm is better.");
  EXPECT_NE(page_.find("<title>rms_norm and seed_norm in olmo2-3m, 4 steps. Validation loss"),
            std::string::npos);

  results_["pairs"][0]["ci95"] = {-0.03, 0.01};
  write_race();
  EXPECT_EQ(report()["answer"],
            head +
                "\u22120.012 \u00b1 0.020 nats per token (95% interval, n = 3): no difference shown, "
                "since the interval includes 0.");
  results_["pairs"][0]["ci95"] = {nullptr, nullptr};
  results_["pairs"][0]["n"] = 1;
  write_race();
  EXPECT_EQ(report()["answer"],
            head +
                "\u22120.0123 nats per token (n = 1); one pair of runs gives no interval, three seeds "
                "(--seeds 3) would.");
  EXPECT_EQ(
      report()["groups"][0]["interval_command"],
      "seednorm race race.toml --norms 'rms_norm,seed_norm=block:seed_norm(alpha_init=0.1)+lr=1' --seeds "
      "3 --out '" +
          folder_.path().filename().string() + "-3-seeds'");
}

// An entrant that measures the noise is not the answer, even if it is the best.
TEST_F(ReportTest, SaysTheAnswerAboutAnotherNorm) {
  results_["pairs"][0]["b"] = race_["entrants"][1]["label"] = results_["runs"][1]["norm"] = "seed_norm";
  race_["entrants"].push_back({{"label", "again"}, {"settings", {"norm=rms_norm", "seed_shift=1000"}}});
  json run = results_["runs"][1];
  run["norm"] = "again";
  run["val_loss"] = 0.1;
  results_["runs"].push_back(run);
  json pair = results_["pairs"][0];
  pair["b"] = "again";
  results_["pairs"].push_back(pair);
  const std::string head = "Validation loss, ";
  write_race();
  EXPECT_EQ(report()["answer"].get<std::string>().substr(0, head.size() + 5), head + "again");
  results_["noise"] = {
      {{"a", "rms_norm"}, {"b", "again"}, {"metric", "val_loss"}, {"floor", 0.02}, {"n", 3}}};
  write_race();
  EXPECT_EQ(report()["answer"].get<std::string>().substr(0, head.size() + 9), head + "seed_norm");
}

TEST_F(ReportTest, SaysThatIntervalsAreNotCorrected) {
  results_["pairs"][0]["b"] = race_["entrants"][1]["label"] = results_["runs"][1]["norm"] = "seed_norm";
  race_["entrants"].push_back({{"label", "dyt"}, {"settings", {"norm=dyt"}}});
  write_race();
  const std::string head =
      "Validation loss, seed_norm \u2212 rms_norm: \u22120.0123 \u00b1 0.0040 nats per token (95% interval, "
      "n = 3";
  EXPECT_EQ(report()["answer"],
            head + "): seed_norm is better. This is one interval of 3, not corrected for their number.");
  results_["pairs"][0]["p"] = 0.002;
  results_["pairs"][0]["p_holm"] = 0.006;
  write_race();
  EXPECT_EQ(report()["answer"], head + ", corrected p = 0.0060): seed_norm is better.");
  results_["pairs"][0]["p_holm"] = 0.051;
  write_race();
  EXPECT_EQ(report()["answer"],
            head + ", corrected p = 0.051): no difference shown once corrected for all pairs.");
}

// Results without "equal_time_s": the values are computed, and pairs of another meaning left out.
TEST_F(ReportTest, EqualTimeOfOldResults) {
  json pair = results_["pairs"][0];
  pair["metric"] = "val_loss_equal_time";
  results_["pairs"].push_back(pair);
  results_["runs"][1]["seconds"] = 1.5;  // the faster one: its last loss; the other's curve ends at 2 s
  write_race();
  write(folder_ / "runs/rms_norm-s0/metrics.jsonl",
        R"({"step":1,"tokens":100,"seconds":1,"valid":{"a":4,"b":5}})"
        "\n" +
            metrics(4, 3));
  json data = report();
  EXPECT_EQ(data["groups"][0]["equal_time_s"], 1.5);
  EXPECT_EQ(data["runs"][0]["values"]["val_loss_equal_time"], 4);  // halfway from 4.5 to 3.5
  EXPECT_EQ(data["groups"][0]["pairs"].size(), 1U);
  EXPECT_TRUE(has_note(data, "differences at equal time were left out"));

  // New results have the last word.
  results_["equal_time_s"] = 1.75;
  results_["runs"][0]["val_loss_equal_time"] = 4.25;
  write_race();
  data = report();
  EXPECT_EQ(data["groups"][0]["equal_time_s"], 1.75);
  EXPECT_EQ(data["runs"][0]["values"]["val_loss_equal_time"], 4.25);
  EXPECT_EQ(data["groups"][0]["pairs"].size(), 2U);
}

// Another workload: its unit, its metrics and their direction; sample images.
TEST_F(ReportTest, MetricsComeFromTheFiles) {
  const json top1 = {
      {"name", "top1"}, {"title", "Top-1 accuracy"}, {"unit", "%"}, {"lower_is_better", false}};
  const json info = {{"format", 1}, {"workload", "classify"}, {"unit", "image"}, {"metrics", {top1}}};
  const fs::path run = folder_ / "vit-s3";
  fs::create_directories(run);
  write(run / "config.toml", "steps = 1\nseed = 3\n");
  write(run / "run.json", info.dump());
  write(
      run / "metrics.jsonl",
      R"({"step":1,"images":64,"seconds":2,"loss":2.5,"metrics":{"top1":61.5},"other":1,"samples":[{"image":"iVBORw0KGgoAAA==",)"
      R"("title":"4 of them"},{"image":"javascript:0"},{"text":"a"},7]})"
      "\n");
  const json data = report({run});
  EXPECT_EQ(data["answer"], "Top-1 accuracy: vit 61.5000%.");
  EXPECT_EQ(data["groups"][0]["unit"], "image");
  EXPECT_EQ(data["runs"][0]["units"], 64);
  EXPECT_EQ(data["runs"][0]["units_per_s"], 32);
  EXPECT_EQ(data["runs"][0]["measured"][0]["values"], json({{"top1", 61.5}}));
  const json items = data["runs"][0]["samples"][0]["items"];
  EXPECT_EQ(items,
            json({{{"title", "4 of them"}, {"image", "iVBORw0KGgoAAA=="}}, {{"title", ""}, {"text", "a"}}}));
  EXPECT_TRUE(has_note(data, "1 sample images that were left out"));

  // Higher is better: of a race, the winner is the higher one.
  results_ = {{"recipe", "vit"}, {"unit", "image"}, {"metrics", {top1}}, {"equal_time_s", nullptr}};
  results_["runs"] = json::array();
  results_["pairs"] = {
      {{"a", "rms_norm"}, {"b", "b"}, {"metric", "top1"}, {"mean_diff", 1}, {"ci95", {0.5, 1.5}}, {"n", 3}}};
  for (const char* label : {"rms_norm", "b"}) {
    results_["runs"].push_back({{"norm", label},
                                {"seed", 0},
                                {"images", 64},
                                {"top1", label[1] == 0 ? 62 : 61},
                                {"diverged", false},
                                {"dir", std::string("runs/") + label + "-s0"}});
  }
  race_["entrants"][1]["label"] = "b";
  write_race();
  fs::remove_all(folder_ / "runs/evil-s0");
  EXPECT_EQ(report()["answer"],
            "Top-1 accuracy, b \u2212 rms_norm: +1.00 \u00b1 0.50% (95% interval, n = 3): b is better.");
}

TEST_F(ReportTest, EscapesWhatUsersNamed) {
  write_race();
  report();
  EXPECT_EQ(page_.find("<script>alert"), std::string::npos);
  EXPECT_NE(page_.find("&lt;script&gt;alert(1)"), std::string::npos);  // in the title
  EXPECT_EQ(page_.find("{{"), std::string::npos);
  EXPECT_EQ(page_.find("http"), page_.find("http-equiv"));
  // Marks of the template in the data stay data.
  race_["entrants"][0]["label"] = "{{data}}";
  results_["runs"] = results_["pairs"] = json::array();
  write_race();
  EXPECT_EQ(report()["groups"][0]["entrants"][0], "{{data}}");
}

TEST_F(ReportTest, BrokenUtf8) {
  write_race();
  write(folder_ / "runs/evil-s0/config.toml", "about = \"\xff\xfe\"\nsteps = 4\n");
  EXPECT_EQ(report()["runs"][1]["config"], "about = \"\ufffd\ufffd\"\nsteps = 4\n");
}

TEST_F(ReportTest, TornAndDamagedLines) {
  write_race();
  const std::string whole = metrics(4, 3);
  write(folder_ / "runs/evil-s0/metrics.jsonl", "nonsense\n[1]\n" + whole + R"({"step": 5, "lo)");
  const json data = report();
  EXPECT_TRUE(has_note(data, "ends in the middle of a line"));
  EXPECT_TRUE(has_note(data, "has 2 lines that could not be read (the first is line 1)"));
  EXPECT_EQ(data["runs"][1]["train"]["step"], json({1, 2, 3, 4}));
}

TEST_F(ReportTest, OddValues) {
  write_race();
  write(folder_ / "runs/evil-s0/metrics.jsonl",
        R"({"step":1,"tokens":"x","seconds":null,"loss":3})"
        "\n"
        R"({"step":2,"tokens":9,"loss":null,"valid":{"a":"b"},"norms":[1],"sample":{}})"
        "\n"
        R"({"step":3,"tokens":12,"diverged":true})"
        "\n");
  results_["runs"].erase(1);
  results_["runs"].push_back(7);
  results_["pairs"].push_back({{"a", 1}});
  write(folder_ / "results.json", results_.dump());
  const json data = report();
  EXPECT_EQ(data["runs"][1]["state"], "diverged");
  EXPECT_EQ(data["runs"][1]["diverged_at"], 3);
  EXPECT_EQ(data["runs"][1]["train"]["units"], json({nullptr}));
  EXPECT_EQ(data["runs"][1]["measured"][0]["values"], json({{"valid/a", nullptr}, {"val_loss", nullptr}}));
}

TEST_F(ReportTest, MissingParts) {
  write_race();
  fs::remove(folder_ / "runs/evil-s0/metrics.jsonl");
  write(folder_ / "results.json", "{");
  json data = report();
  EXPECT_TRUE(has_note(data, "results.json is damaged"));
  EXPECT_TRUE(has_note(data, "metrics.jsonl is missing"));
  EXPECT_TRUE(has_note(data, "evil, seed 0 has not finished"));  // found by its folder
  EXPECT_TRUE(has_note(data, "evil, seed 0 was never validated"));
  EXPECT_EQ(data["runs"][1]["values"]["val_loss"], 3.5);  // of rms_norm, from its metrics
  EXPECT_EQ(data["answer"], "Validation loss: rms_norm 3.5000 nats per token.");
  fs::remove(folder_ / "race.json");
  fs::remove_all(folder_ / "runs");
  data = report();
  EXPECT_EQ(data["answer"], "No run has finished yet.");
}

TEST_F(ReportTest, Divergence) {
  results_["runs"][1]["diverged"] = true;
  results_["runs"][1]["norm"] = race_["entrants"][1]["label"] = "dyt";
  results_["pairs"] = json::array();
  write_race();
  EXPECT_EQ(report()["answer"],
            "Validation loss: rms_norm 4.0000 nats per token; dyt diverged in 1 of 1 run.");
}

TEST_F(ReportTest, SingleRunsAndSeveralRaces) {
  write_race();
  const json one = report({folder_ / "runs/rms_norm-s0/"});
  EXPECT_EQ(one["groups"][0]["kind"], "run");
  EXPECT_EQ(one["groups"][0]["entrants"], json::array({"rms_norm"}));
  EXPECT_EQ(one["answer"], "Validation loss: rms_norm 3.5000 nats per token.");
  const json two = report({folder_.path(), folder_ / "runs/rms_norm-s0"});
  const std::string name = folder_.path().filename().string();
  EXPECT_EQ(two["groups"][0]["entrants"][0], name + ": rms_norm");
  EXPECT_EQ(two["groups"][0]["pairs"][0]["a"], name + ": rms_norm");
  EXPECT_EQ(two["runs"].size(), 3U);
  EXPECT_EQ(two["runs"][2]["group"], 1);
}

TEST_F(ReportTest, ThinsLongCurves) {
  write_race();
  std::string text;
  for (int step = 1; step <= 50000; ++step) {
    const double loss = step == 31234 ? 77 : step == 41234 ? 0.5 : 3;
    text += json({{"step", step}, {"tokens", step}, {"seconds", step}, {"loss", loss}}).dump() + "\n";
  }
  write(folder_ / "runs/evil-s0/metrics.jsonl", text);
  const json train = report()["runs"][1]["train"];
  EXPECT_LE(train["step"].size(), 2000U);
  EXPECT_EQ(train["step"].front(), 1);
  EXPECT_EQ(train["step"].back(), 50000);
  EXPECT_TRUE(std::is_sorted(train["step"].begin(), train["step"].end()));
  EXPECT_EQ(*std::max_element(train["loss"].begin(), train["loss"].end()), 77);
  EXPECT_EQ(*std::min_element(train["loss"].begin(), train["loss"].end()), 0.5);
}

TEST_F(ReportTest, BadInput) {
  const std::string out = folder_ / "report.html";
  EXPECT_NE(user_error([&] { write_report({}, out); }).find("no folder"), std::string::npos);
  EXPECT_NE(user_error([&] { write_report({folder_ / "none"}, out); }).find("no such folder"),
            std::string::npos);
  EXPECT_NE(user_error([&] { write_report({folder_.path()}, out); }).find("holds neither a race"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(out));
  write_race();
  EXPECT_NE(user_error([&] { write_report({folder_.path()}, folder_ / "none/report.html"); }).find("none"),
            std::string::npos);
  EXPECT_NE(user_error([&] { write_report({folder_.path()}, folder_.path()); }).find("is a folder"),
            std::string::npos);
}

json evaluation(const std::string& model, double piqa) {
  return {{"model", model},
          {"tokenizer", "byte"},
          {"tasks",
           {{"piqa", {{"metric", "len_norm"}, {"value", piqa}, {"stderr", 0.0117}, {"docs", 1838}}},
            {"copa", {{"metric", "acc"}, {"value", 0.5}, {"stderr", 0.05}, {"docs", 100}}}}},
          {"perplexity", {{"pile", {{"loss", 3.25}, {"ppl", 25.79}, {"tokens", 4095}}}}}};
}

TEST_F(ReportTest, PutsEvaluationsSideBySide) {
  fs::create_directories(folder_ / "first");
  write(folder_ / "first/eval.json", evaluation("runs/rms_norm-s0/checkpoints/step-00000100", 0.6).dump());
  write(folder_ / "second.json", evaluation("models/seed/", 0.625).dump());
  json data = report({folder_ / "first", folder_ / "second.json"});
  EXPECT_EQ(data["title"], "Evaluation of rms_norm-s0, step-00000100 and seed");
  EXPECT_EQ(data["answer"],
            "rms_norm-s0, step-00000100: 55.0%, the mean over 2 tasks; seed: 56.2%, the mean over 2 tasks.");
  ASSERT_EQ(data["evaluations"].size(), 2U);
  EXPECT_EQ(data["evaluations"][1]["tasks"]["piqa"],
            json({{"value", 0.625}, {"stderr", 0.0117}, {"docs", 1838}, {"metric", "len_norm"}}));
  EXPECT_EQ(data["evaluations"][0]["perplexity"]["pile"]["ppl"], 25.79);

  // Beside a race; two models of one name.
  write_race();
  data = report({folder_.path(), folder_ / "second.json", folder_ / "second.json"});
  EXPECT_EQ(data["groups"].size(), 1U);
  EXPECT_EQ(data["evaluations"][1]["name"], folder_ / "second.json");
}

TEST_F(ReportTest, DamagedEvaluations) {
  json damaged = evaluation("m", 0.6);
  damaged["tasks"]["piqa"]["value"] = "much";
  damaged["perplexity"] = 7;
  write(folder_ / "damaged.json", damaged.dump());
  const json data = report({folder_ / "damaged.json"});
  EXPECT_TRUE(has_note(data, "\"piqa\" has no number \"value\""));
  EXPECT_EQ(data["evaluations"][0]["tasks"].size(), 1U);
  write(folder_ / "other.json", "[1]");
  EXPECT_NE(user_error([&] { report({folder_ / "other.json"}); }).find("is no result of seednorm eval"),
            std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab
