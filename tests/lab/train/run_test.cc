// Runs in directories: what they leave behind, resuming, damage, mistakes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "lab/base/file.h"
#include "lab/base/file_lock.h"
#include "lab/language/data/tokenize.h"
#include "lab/recipes/recipe.h"
#include "lab/recipes/workloads.h"
#include "lab/train/checkpoint.h"
#include "lab/train/run.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

class RunTest : public testing::Test {
 protected:
  RunTest() {
    std::string text;
    for (int i = 0; i < 400; ++i)
      text += "the quick brown fox " + std::to_string(i % 7) + " jumps over the lazy dog\n";
    write(folder_ / "text.txt", text);
    for (const char* name : {"train", "valid"}) {
      tokenize({.inputs = {folder_ / "text.txt"}, .out = folder_ / name}, Tokenizer::load("byte"),
               [](const TokenizeProgress&) {});
    }
  }

  Recipe recipe(const std::vector<std::string>& more = {}) const {
    Recipe r = load_recipe("olmo2-0.5m");
    for (const std::string& s : std::vector<std::string>{
             "dim=32", "num_layers=2", "num_heads=2", "num_kv_heads=1", "ffn_dim=48", "context=32",
             "batch_size=4", "steps=8", "warmup_tokens=200", "norm=seed_norm",
             "train_data=" + folder_ / "train", "valid_data=" + folder_ / "valid", "eval_every=4",
             "eval_batches=2", "checkpoint_every=3"}) {
      apply_setting(r, s);
    }
    apply_settings(r, more);
    return r;
  }

  RunResult run(const Recipe& r, const std::string& name, bool resume = false) const {
    RunSpec spec = run_spec(r, folder_ / name);
    spec.resume = resume;
    return train_run(spec);
  }

  // The lines of metrics.jsonl without times.
  std::vector<nlohmann::json> metrics(const std::string& name) const {
    std::stringstream text(read_file(fs::path(folder_ / name) / "metrics.jsonl", 1 << 20));
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(text, line);) {
      lines.push_back(nlohmann::json::parse(line));
      lines.back().erase("seconds");
    }
    return lines;
  }

  std::string weights(const std::string& name, const std::string& step) const {
    return read_file(fs::path(folder_ / name) / "checkpoints" / step / "model.safetensors", 1 << 24);
  }

  TestFolder folder_;
};

// OLMoE's code divides the router's z-loss by the number of chosen experts.
TEST_F(RunTest, RouterLossOverTopK) {
  std::vector<double> added;  // to the cross entropy, of the same weights and batch
  for (const char* over : {"false", "true"}) {
    const Recipe r = recipe({"family=olmoe", "num_kv_heads=2", "num_experts=4", "top_k=2", "balance_weight=0",
                             "router_z_weight=0.5", std::string("router_z_over_top_k=") + over});
    const auto workload = make_workload(r);
    const Loss loss = workload->loss(workload->batch(0, {0, 4}), 1);
    double cross_entropy = 0, router_z = 0;
    for (const auto& [name, value] : loss.parts) {
      if (name == "loss") cross_entropy = value.item<double>();
      if (name == "router_z") router_z = value.item<double>();
    }
    added.push_back((loss.total.item<double>() - cross_entropy) / router_z);
  }
  EXPECT_NEAR(added[0], 0.5, 1e-4);
  EXPECT_NEAR(added[1], 0.25, 1e-4);
}

TEST_F(RunTest, LeavesConfigMetricsAndCheckpoints) {
  const RunResult result = run(recipe(), "a");
  EXPECT_EQ(result.steps, 8);
  EXPECT_EQ(result.units, 8 * 4 * 32);
  EXPECT_FALSE(result.diverged);
  EXPECT_GT(result.value("val_loss"), 0);
  EXPECT_EQ(to_toml(load_recipe(folder_ / "a/config.toml")), to_toml(recipe()));
  const auto lines = metrics("a");
  ASSERT_EQ(lines.size(), 10U);  // 8 steps, validations after 4 and 8
  EXPECT_EQ(lines[0].at("step"), 1);
  EXPECT_EQ(lines[0].at("tokens"), 128);
  EXPECT_LT(lines[8].at("loss"), lines[0].at("loss"));
  EXPECT_EQ(lines[9].at("valid").at("valid"), result.value("val_loss"));
  EXPECT_EQ(lines[9].at("metrics").at("val_loss"), result.value("val_loss"));
  const auto info = nlohmann::json::parse(read_file(fs::path(folder_ / "a/run.json"), 1 << 20));
  EXPECT_EQ(info.at("unit"), "token");
  EXPECT_EQ(info.at("metrics").at(0).at("name"), "val_loss");
  // SeeDNorm everywhere: two block norms and two of queries and keys a layer, one before the head.
  ASSERT_EQ(lines[9].at("norms").size(), 9U);
  for (const auto& [name, stats] : lines[9]["norms"].items()) {
    EXPECT_GE(stats.at("saturated"), 0) << name;
    EXPECT_LE(stats.at("saturated"), 1) << name;
    EXPECT_GT(stats.at("beta"), 0) << name;  // moved away from its start
    EXPECT_NEAR(stats.at("alpha").get<double>(), 1, 0.2) << name;
  }
  // Of 3, 6 and 8 the two newest.
  EXPECT_FALSE(fs::exists(folder_ / "a/checkpoints/step-00000003"));
  EXPECT_TRUE(fs::exists(folder_ / "a/checkpoints/step-00000006"));
  EXPECT_TRUE(fs::exists(folder_ / "a/checkpoints/step-00000008"));
}

TEST_F(RunTest, ResumedEqualsUninterrupted) {
  for (const auto& settings : std::vector<std::vector<std::string>>{
           {}, {"optimizer=muon"}, {"norm_placement=peri", "norm_depth_scaling=true"}}) {
    SCOPED_TRACE(settings.empty() ? "" : settings[0]);
    const Recipe r = recipe(settings);
    const std::string of = std::to_string(settings.size()), whole = "whole" + of, cut = "cut" + of;
    run(r, whole);
    run(r, cut);
    // As if it had been killed in step 8: the last checkpoint is not there yet, lines are.
    fs::remove_all(folder_ / (cut + "/checkpoints/step-00000008"));
    const RunResult result = run(r, cut, /*resume=*/true);
    EXPECT_EQ(result.steps, 8);
    EXPECT_EQ(metrics(cut), metrics(whole));
    EXPECT_EQ(weights(cut, "step-00000008"), weights(whole, "step-00000008"));
  }
}

// A run that was begun before there were placements has no such line in its configuration.
TEST_F(RunTest, GoesOnWithASettingThatItsConfigurationLacks) {
  run(recipe({"steps=3"}), "a");
  std::string config = read_file(folder_ / "a/config.toml", 1 << 20);
  const size_t begin = config.find("norm_placement"), end = config.find('\n', begin);
  ASSERT_NE(begin, std::string::npos);
  write(folder_ / "a/config.toml", config.erase(begin, end + 1 - begin));
  EXPECT_EQ(run(recipe({"steps=3"}), "a", /*resume=*/true).steps, 3);
}

TEST_F(RunTest, SamplesAndTasks) {
  write(folder_ / "piqa.validation.jsonl",
        R"({"goal": "the quick", "sol1": "brown fox", "sol2": "lazy dog", "label": 0})"
        "\n"
        R"({"goal": "jumps over", "sol1": "the quick fox", "sol2": "the lazy dog", "label": 1})"
        "\n");
  const Recipe r = recipe({"sample_prompt=the quick", "sample_tokens=9", "tasks=piqa", "tasks_every=4",
                           "checkpoint_every=4", "tasks_data=" + folder_.path().string()});
  run(r, "a");
  const auto lines = metrics("a");
  ASSERT_EQ(lines.size(), 12U);  // 8 steps; after 4 and 8 a validation and the tasks
  for (const size_t at : {4, 10}) {
    const std::string sample = lines[at].at("sample");
    EXPECT_TRUE(sample.starts_with("the quick") && sample.size() > 9) << sample;
    const double value = lines[at + 1].at("tasks").at("piqa");
    EXPECT_TRUE(value == 0 || value == 0.5 || value == 1) << value;
    EXPECT_EQ(lines[at + 1].at("step"), at == 4 ? 4 : 8);
  }
  // They change nothing in the training, nor does a run that goes on.
  run(recipe(), "without");
  EXPECT_EQ(weights("a", "step-00000008"), weights("without", "step-00000008"));
  fs::remove_all(folder_ / "a/checkpoints/step-00000008");
  run(r, "a", /*resume=*/true);
  EXPECT_EQ(metrics("a"), lines);

  // A prompt asks for no set.
  run(recipe({"sample_prompt=the quick", "valid_data="}), "no_sets");
  EXPECT_TRUE(metrics("no_sets").back().contains("sample"));
  EXPECT_FALSE(metrics("no_sets").back().contains("valid"));

  const auto message = [&](const std::vector<std::string>& settings) -> std::string {
    try {
      run(recipe(settings), "b");
    } catch (const std::exception& e) {
      return e.what();
    }
    return "";
  };
  const std::string data = "tasks_data=" + folder_.path().string();
  EXPECT_EQ(message({"tasks=piqqa", data}).find("tasks: no task \"piqqa\" (did you mean piqa?)"), 0U);
  EXPECT_NE(message({"tasks=copa", data}).find("copa.validation.jsonl"), std::string::npos);
  EXPECT_EQ(message({"tasks=piqa"}).find("tasks, tasks_data: expected both"), 0U);
  EXPECT_EQ(message({"sample_prompt=" + std::string(40, 'a')}).find("sample_prompt: has 40 tokens"), 0U);
  fs::remove(folder_ / "train/tokenizer.json");
  EXPECT_NE(message({"sample_prompt=a"}).find("has no tokenizer.json"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "b"));
}

TEST_F(RunTest, DamagedCheckpointsArePassedOver) {
  run(recipe(), "a");
  const std::string newest = folder_ / "a/checkpoints/step-00000008/model.safetensors";
  std::string bytes = read_file(newest, 1 << 24);
  bytes[bytes.size() / 2] ^= 1;
  write(newest, bytes);
  FoundCheckpoint found = find_checkpoint(folder_ / "a");
  ASSERT_EQ(found.damaged.size(), 1U);
  EXPECT_NE(found.damaged[0].find("step-00000008/model.safetensors: altered"), std::string::npos)
      << found.damaged[0];
  EXPECT_EQ(found.path->filename(), "step-00000006");
  write(newest, bytes.substr(0, bytes.size() - 100));
  found = find_checkpoint(folder_ / "a");
  EXPECT_NE(found.damaged[0].find("bytes of"), std::string::npos) << found.damaged[0];
  EXPECT_EQ(run(recipe(), "a", true).steps, 8);
  EXPECT_TRUE(find_checkpoint(folder_ / "a").damaged.empty());
}

// A run without a whole checkpoint is not begun again over what it has written.
TEST_F(RunTest, NoWholeCheckpointIsRefused) {
  run(recipe({"keep_checkpoints=1"}), "a");
  const std::string state = folder_ / "a/checkpoints/step-00000008/optimizer.safetensors";
  std::string bytes = read_file(state, 1 << 24);
  bytes[bytes.size() / 2] ^= 1;
  write(state, bytes);
  const auto before = metrics("a");
  const std::string message = user_error([&] { run(recipe({"keep_checkpoints=1"}), "a", true); });
  EXPECT_NE(message.find("optimizer.safetensors: altered"), std::string::npos) << message;
  EXPECT_EQ(metrics("a"), before);
  // Without any checkpoint it begins again, and keeps the old log under another name.
  fs::remove_all(folder_ / "a/checkpoints");
  EXPECT_EQ(run(recipe({"keep_checkpoints=1"}), "a", true).steps, 8);
  EXPECT_EQ(metrics("a"), before);
  EXPECT_TRUE(fs::exists(folder_ / "a/before-1.metrics.jsonl"));
}

// Torn and damaged checkpoints do not count among those to keep.
TEST_F(RunTest, DamagedCheckpointsDoNotCrowdOutGoodOnes) {
  const Recipe r = recipe({"keep_checkpoints=1", "steps=4", "checkpoint_every=2"});
  run(r, "a");
  const fs::path checkpoints = folder_ / "a/checkpoints";
  // As after a kill while step 9 was written, and damage to step 6.
  fs::copy(checkpoints / "step-00000004", checkpoints / "step-00000006", fs::copy_options::recursive);
  fs::resize_file(checkpoints / "step-00000006/model.safetensors", 100);
  fs::create_directories(checkpoints / "step-00000009.partial");
  // What is resumed saves step 4 again where it is missing.
  EXPECT_EQ(run(r, "a", true).steps, 4);
  EXPECT_TRUE(find_checkpoint(folder_ / "a").path.has_value());
  EXPECT_FALSE(fs::exists(checkpoints / "step-00000009.partial"));
}

TEST_F(RunTest, WhatAKilledProcessLeftBlocksNothing) {
  fs::create_directories(folder_ / "a");
  write(folder_ / "a/config.toml.partial-12", "dim");
  EXPECT_EQ(run(recipe(), "a").steps, 8);
  EXPECT_FALSE(fs::exists(folder_ / "a/config.toml.partial-12"));
}

TEST_F(RunTest, OneProcessAtATime) {
  run(recipe(), "a");
  const FileLock held(folder_ / "a");
  const std::string message = user_error([&] { run(recipe(), "a", true); });
  EXPECT_NE(message.find(std::to_string(getpid())), std::string::npos) << message;
}

TEST_F(RunTest, TheTokenizerIsKeptWhenTheDataMove) {
  const std::string tokenizer = read_file(folder_ / "train/tokenizer.json", 1 << 24);
  const auto workload = make_workload(recipe());
  fs::rename(folder_ / "train", folder_ / "gone");
  fs::create_directories(folder_ / "model");
  workload->save(folder_ / "model");
  EXPECT_EQ(read_file(folder_ / "model/tokenizer.json", 1 << 24), tokenizer);
}

TEST_F(RunTest, ValidationSetsAreToldApart) {
  for (const char* parent : {"books", "web"}) {
    fs::create_directories(folder_ / parent);
    fs::copy(folder_ / "valid", fs::path(folder_ / parent) / "valid", fs::copy_options::recursive);
  }
  run(recipe({"valid_data=" + folder_ / "books/valid" + "," + folder_ / "web/valid"}), "a");
  const auto valid = metrics("a").back().at("valid");
  EXPECT_TRUE(valid.contains("books/valid") && valid.contains("web/valid")) << valid;
  EXPECT_NE(user_error([&] {
              run(recipe({"valid_data=" + folder_ / "valid" + "," + folder_ / "books/../valid"}), "b");
            }).find("twice"),
            std::string::npos);
}

TEST_F(RunTest, ValidationSetsAreCheckedBeforeTraining) {
  write(folder_ / "short.txt", "too short");
  tokenize({.inputs = {folder_ / "short.txt"}, .out = folder_ / "short"}, Tokenizer::load("byte"),
           [](const TokenizeProgress&) {});
  const std::string message = user_error([&] { run(recipe({"valid_data=" + folder_ / "short"}), "a"); });
  EXPECT_NE(message.find(folder_ / "short"), std::string::npos) << message;
  // Made with another tokenizer.
  std::string about = read_file(folder_ / "valid/tokens.json", 1 << 20);
  const size_t at = about.find("\"tokenizer_sha256\": \"");
  ASSERT_NE(at, std::string::npos);
  about[at + 23] = about[at + 23] == 'a' ? 'b' : 'a';
  write(folder_ / "valid/tokens.json", about);
  EXPECT_NE(user_error([&] { run(recipe(), "a"); }).find("valid_data: "), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "a"));
}

TEST_F(RunTest, AnAlteredStateIsFoundOut) {
  run(recipe(), "a");
  const std::string newest = folder_ / "a/checkpoints/step-00000008/trainer.json";
  std::string text = read_file(newest, 1 << 20);
  const size_t at = text.find("\"step\": 8");
  ASSERT_NE(at, std::string::npos) << text;
  text.replace(at, 9, "\"step\": 7");
  write(newest, text);
  const FoundCheckpoint found = find_checkpoint(folder_ / "a");
  ASSERT_EQ(found.damaged.size(), 1U);
  EXPECT_NE(found.damaged[0].find("step-00000008/trainer.json: altered"), std::string::npos)
      << found.damaged[0];
  EXPECT_EQ(found.path->filename(), "step-00000006");
}

TEST_F(RunTest, AFinishedRunAskedForAgainStaysAsItIs) {
  const RunResult first = run(recipe(), "a");
  std::map<std::string, std::string> before;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "a")) {
    if (entry.is_regular_file()) before[entry.path()] = read_file(entry.path(), 1 << 24);
  }
  const RunResult again = run(recipe(), "a", /*resume=*/true);
  EXPECT_EQ(again.values, first.values);
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "a")) {
    if (!entry.is_regular_file()) continue;
    ++files;
    EXPECT_TRUE(before[entry.path()] == read_file(entry.path(), 1 << 24)) << entry.path();
  }
  EXPECT_EQ(files, before.size());
}

TEST_F(RunTest, ImpossibleSettingsAreRefused) {
  for (const char* setting :
       {"steps=0", "batch_size=0", "micro_batch_size=-1", "lr=0", "lr=nan", "min_lr_ratio=2",
        "warmup_tokens=-1", "beta1=1", "beta2=-0.1", "adam_eps=0", "weight_decay=-1", "grad_clip=-1",
        "keep_checkpoints=0", "log_every=0", "threads=-1"}) {
    try {
      run(recipe({setting}), "a");
      ADD_FAILURE() << setting;
    } catch (const UserError& error) {
      const std::string name = std::string(setting).substr(0, std::string(setting).find('='));
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
  EXPECT_FALSE(fs::exists(folder_ / "a"));
}

TEST_F(RunTest, NothingIsOverwritten) {
  run(recipe(), "a");
  EXPECT_NE(user_error([&] { run(recipe(), "a"); }).find("--resume"), std::string::npos);
  EXPECT_NE(user_error([&] { run(recipe({"lr=1e-4"}), "a", true); }).find("other settings (lr: "),
            std::string::npos);
  EXPECT_EQ(run(recipe({"threads=1"}), "a", true).steps, 8);  // another machine goes on
  fs::create_directory(folder_ / "mine");
  write(folder_ / "mine/notes.txt", "keep");
  EXPECT_NE(user_error([&] { run(recipe(), "mine"); }).find("not empty"), std::string::npos);
  EXPECT_NE(user_error([&] { run(recipe({"train_data="}), "b"); }).find("train_data"), std::string::npos);
  EXPECT_NE(user_error([&] { run(recipe({"train_data=/nowhere"}), "b"); }).find("/nowhere"),
            std::string::npos);
  EXPECT_NE(user_error([&] { run(recipe({"vocab_size=100"}), "b"); }).find("vocab_size"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "b"));
}

TEST_F(RunTest, DivergenceStopsAndKeepsTheLastGoodCheckpoint) {
  const RunResult result = run(recipe({"lr=1e30", "warmup_tokens=0", "grad_clip=0"}), "a");
  EXPECT_TRUE(result.diverged);
  EXPECT_TRUE(metrics("a").back().at("diverged").get<bool>());
}

// As on a GPU, where nothing waits for a step's numbers until a line is due.
TEST_F(RunTest, RunningAheadLeavesTheSameRun) {
  for (const int64_t log_every : {1, 3, 5}) {
    const std::string every = std::to_string(log_every);
    const std::vector<std::string> settings = {"log_every=" + every};
    run(recipe(settings), "waits" + every);
    const Recipe ahead = recipe(settings);
    RunSpec spec = run_spec(ahead, folder_ / ("ahead" + every));
    spec.run_ahead = true;
    const RunResult result = train_run(spec);
    EXPECT_EQ(result.steps, 8);
    EXPECT_EQ(metrics("ahead" + every), metrics("waits" + every)) << log_every;
    EXPECT_EQ(weights("ahead" + every, "step-00000008"), weights("waits" + every, "step-00000008"))
        << log_every;
  }
}

TEST_F(RunTest, RunningAheadNamesTheStepThatDiverged) {
  const std::vector<std::string> settings = {"lr=1e30",     "warmup_tokens=0", "grad_clip=0",
                                             "log_every=7", "eval_every=0",    "checkpoint_every=0"};
  const RunResult waits = run(recipe(settings), "waits");
  const Recipe recipe_ahead = recipe(settings);
  RunSpec spec = run_spec(recipe_ahead, folder_ / "ahead");
  spec.run_ahead = true;
  const RunResult ahead = train_run(spec);
  EXPECT_TRUE(waits.diverged && ahead.diverged);
  EXPECT_EQ(ahead.steps, waits.steps);
  EXPECT_LT(ahead.steps, 6);
  EXPECT_EQ(metrics("ahead"), metrics("waits"));
}

TEST_F(RunTest, DryRunWritesNothing) {
  const Recipe r = recipe();
  RunSpec spec = run_spec(r, folder_ / "a");
  spec.dry_run = true;
  const RunResult result = train_run(spec);
  EXPECT_EQ(result.steps, 1);
  EXPECT_FALSE(fs::exists(folder_ / "a"));
}

TEST_F(RunTest, OneBatchIsLearnedByHeart) {
  const Recipe r = recipe({"steps=60", "lr=1e-2", "batch_size=2"});
  RunSpec spec = run_spec(r, folder_ / "a");
  spec.overfit = true;
  const RunResult result = train_run(spec);
  EXPECT_EQ(result.steps, 60);
  const auto lines = metrics("a");
  EXPECT_LT(lines[lines.size() - 2].at("loss"), 0.5);
}

}  // namespace
}  // namespace seednorm::lab
