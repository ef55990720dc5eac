// Recipes: the built-in ones are whole, settings round-trip, mistakes are named.
#include <gtest/gtest.h>

#include <map>

#include "lab/language/config.h"
#include "lab/recipes/recipe.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

class RecipeFile {
 public:
  explicit RecipeFile(const std::string& text) { write(path(), text); }
  std::string path() const { return folder_ / "recipe.toml"; }

 private:
  TestFolder folder_;
};

std::string norm_of(const Recipe& recipe, const std::string& site) {
  return recipe.config_as<LanguageConfig>().model.norms[site].text();
}

TEST(Recipes, BuiltInOnesAreWhole) {
  for (const std::string& name : recipe_names()) {
    Recipe recipe = load_recipe(name);
    EXPECT_FALSE(recipe.about.empty()) << name;
    EXPECT_NO_THROW(recipe.check()) << name;
    EXPECT_GT(recipe.train.lr, 0) << name;
    EXPECT_GT(recipe.train.steps, 0) << name;
    EXPECT_GT(recipe.train.batch_size, 0) << name;
  }
}

TEST(Recipes, EverySettingRoundTrips) {
  for (const std::string& name : recipe_names()) {
    const Recipe recipe = load_recipe(name);
    EXPECT_EQ(recipe.name, name);
    const Recipe again = load_recipe(RecipeFile(to_toml(recipe)).path());
    EXPECT_EQ(again.values(), recipe.values()) << name;
  }
}

// Tables 6 to 9 of the paper, as printed, and Figure 4's and Table 1's models.
TEST(Recipes, AreThoseOfThePaper) {
  using Values = std::vector<std::pair<std::string, double>>;
  const Values shared = {{"beta1", 0.9},    {"beta2", 0.95},  {"weight_decay", 0.1},
                         {"context", 4096}, {"grad_clip", 1}, {"decay_gain", 1}};
  const Values olmoe = {{"top_k", 8},
                        {"num_experts", 64},
                        {"rope_theta", 10000},
                        {"lr", 4e-4},
                        {"warmup_tokens", 10e9},
                        {"balance_weight", 0.01},
                        {"router_z_weight", 0.001}};
  const Values olmo2 = {{"rope_theta", 500000}, {"warmup_tokens", 8e9}};
  const auto expect = [](const std::string& name, const std::vector<Values>& lists) {
    const Recipe recipe = load_recipe(name);
    std::map<std::string, std::string> values;
    for (const auto& [key, value] : recipe.values()) values[key] = value;
    for (const Values& list : lists) {
      for (const auto& [key, value] : list) {
        const std::string& text = values.at(key);
        EXPECT_EQ(text == "true" ? 1 : std::stod(text), value) << name << " " << key;
      }
    }
    EXPECT_EQ(values.at("tied"), "true") << name;
    EXPECT_EQ(recipe.train.min_lr_ratio, 0.1) << name;  // ours
  };
  expect(
      "olmoe-1.3b",
      {shared,
       olmoe,
       {{"num_layers", 12}, {"dim", 1024}, {"num_heads", 16}, {"micro_batch_size", 6}, {"batch_size", 768}}});
  expect("olmoe-7b", {shared,
                      olmoe,
                      {{"num_layers", 16},
                       {"dim", 2048},
                       {"num_heads", 16},
                       {"micro_batch_size", 4},
                       {"batch_size", 1024}}});
  expect("olmo2-550m", {shared,
                        olmo2,
                        {{"num_layers", 16},
                         {"dim", 1536},
                         {"num_heads", 16},
                         {"num_kv_heads", 4},
                         {"lr", 3e-4},
                         {"micro_batch_size", 8},
                         {"batch_size", 1024}}});
  expect("olmo2-1b", {shared,
                      olmo2,
                      {{"num_layers", 16},
                       {"dim", 2048},
                       {"num_heads", 32},
                       {"num_kv_heads", 8},
                       {"lr", 4e-4},
                       {"micro_batch_size", 4},
                       {"batch_size", 1024}}});
  // The lengths of Section 4.1, in tokens.
  for (const auto& [name, tokens] : std::vector<std::pair<std::string, double>>{
           {"olmoe-1.3b", 500e9}, {"olmoe-7b", 1e12}, {"olmo2-550m", 400e9}, {"olmo2-1b", 500e9}}) {
    const Recipe r = load_recipe(name);
    const double there = static_cast<double>(r.train.steps * r.train.batch_size) * 4096;
    EXPECT_NEAR(there / tokens, 1, 1e-5) << name;
  }
  for (const char* name : {"olmo2-550m-seednorm", "olmo2-1b-seednorm"})
    EXPECT_EQ(norm_of(load_recipe(name), "qk"), "seed_norm") << name;
  EXPECT_EQ(norm_of(load_recipe("olmoe-1.3b-seednorm-swish"), "block"), "seed_norm(sigma=silu)");
  EXPECT_EQ(norm_of(load_recipe("olmoe-1.3b-dyt"), "qk"), "rms_norm");
}

// Readers see which values are the paper's.
TEST(Recipes, SettingsOfThePapersModelsNameTheirSources) {
  for (const char* name : {"olmoe-1.3b", "olmoe-7b", "olmo2-550m", "olmo2-1b"}) {
    for (const auto& [key, value] : load_recipe(name).values()) {
      const std::string source = setting_source(name, key);
      EXPECT_TRUE(source == "default" || source.starts_with("[paper]") || source.starts_with("[OLMo]") ||
                  source.starts_with("[ours]"))
          << name << " " << key << " " << source;
    }
  }
  EXPECT_EQ(setting_source("olmoe-7b", "lr"), "[paper]");  // of its base
  EXPECT_EQ(setting_source("olmoe-7b", "steps"), "[paper] 1T tokens");
  EXPECT_EQ(setting_source("olmoe-7b", "adam_eps"), "default");
  EXPECT_EQ(setting_source("olmoe-1.3b-seednorm", "norm.qk"), "");
  EXPECT_EQ(setting_source("olmoe-1.3b-dyt", "norm.block"), "");
  EXPECT_EQ(setting_source("my.toml", "lr"), "default");
}

TEST(Recipes, NormsByPosition) {
  Recipe r = load_recipe("olmo2-3m");
  apply_setting(r, "norm=seed_norm(alpha_init=0.1)");
  apply_setting(r, "norm.output=rms_norm");
  EXPECT_EQ(norm_of(r, "block"), "seed_norm(alpha_init=0.1)");
  EXPECT_EQ(norm_of(r, "qk"), "seed_norm(alpha_init=0.1)");
  EXPECT_EQ(norm_of(r, "output"), "rms_norm");
  // In a file a position's own norm wins over "norm"; TOML has no place for both, so files name positions.
  const Recipe f = load_recipe(RecipeFile("base = \"olmo2-3m\"\n[norm]\nblock = \"dyt\"\n").path());
  EXPECT_EQ(norm_of(f, "block"), "dyt");
  EXPECT_EQ(norm_of(f, "qk"), "rms_norm");
}

// With alpha = beta = 0 neither has a gradient (Section 3.1).
TEST(Recipes, DynamicBranchesThatCannotLearnAreRefused) {
  Recipe r = load_recipe("demo");
  for (const char* norm : {"seed_norm(alpha_init=0)", "seed_norm(alpha_init=0,beta=elementwise)"}) {
    EXPECT_NE(user_error([&] { apply_setting(r, std::string("norm=") + norm); }).find("would never learn"),
              std::string::npos)
        << norm;
  }
  EXPECT_NO_THROW(apply_setting(r, "norm=seed_norm(alpha_init=0,beta=none)"));
  EXPECT_NO_THROW(apply_setting(r, "norm=dyt(alpha_init=0)"));  // its slope has a gradient
}

TEST(Recipes, SitesAreThoseOfTheFamily) {
  Recipe r = load_recipe("demo");
  EXPECT_EQ(user_error([&] { apply_setting(r, "norm.blok=dyt"); }),
            "no setting \"norm.blok\" (did you mean norm.block?)");
  std::vector<std::string> sites;
  for (const auto& [name, value] : r.values()) {
    if (name.starts_with("norm.")) sites.push_back(name.substr(5));
  }
  EXPECT_EQ(sites, (std::vector<std::string>{"block", "qk", "output"}));
  apply_setting(r, "norm=dyt");
  apply_setting(r, "family=olmoe");
  for (const std::string& site : sites) EXPECT_EQ(norm_of(r, site), "dyt");
}

// Whatever the text of a setting is, the file that a run writes gives it back.
TEST(Recipes, AnyTextRoundTrips) {
  for (const std::string& text :
       {std::string("2026-11"), std::string("007"), std::string("1e5"), std::string("e"), std::string("-"),
        std::string("1.2.3"), std::string("true"), std::string("inf"), std::string("12:30:00"),
        std::string("one\ntwo"), std::string("\"\"\""), std::string("a\\b'c\""), std::string("tab\tbell\x07"),
        std::string("\x01\x1f\x7f"), std::string("\u00e9\u4e2d"), std::string("#x = [y]"), std::string(" "),
        std::string("")}) {
    Recipe r = load_recipe("demo");
    apply_setting(r, "sample_prompt=" + text);
    apply_setting(r, "train_data=" + text);
    r.about = text;
    const Recipe again = load_recipe(RecipeFile(to_toml(r)).path());
    EXPECT_EQ(again.values(), r.values()) << to_toml(r);
    EXPECT_EQ(again.about, text);
  }
  Recipe r = load_recipe("demo");
  EXPECT_EQ(user_error([&] { apply_setting(r, "sample_prompt=\xff"); }),
            "sample_prompt: expected UTF-8, got \"\\xff\"");
}

TEST(Recipes, ValidationIsCountedInRows) {
  Recipe r = load_recipe("demo");
  EXPECT_EQ(r.train.eval_rows, 8 * r.train.batch_size);
  const int64_t rows = r.train.eval_rows;
  apply_setting(r, "micro_batch_size=2");
  EXPECT_EQ(r.train.eval_rows, rows);  // a setting that only saves memory
  apply_settings(r, {"eval_batches=3", "batch_size=5"});
  EXPECT_EQ(r.train.eval_rows, 15);
  // A run of an earlier version counted passes of micro_batch_size.
  const std::string old =
      "base = \"demo\"\nbatch_size = 8\nmicro_batch_size = 2\neval_batches = 3\nkeep_checkpoints = "
      "2\nlog_every = 1\n";
  EXPECT_EQ(load_recipe(RecipeFile(old).path()).train.eval_rows, 6);
}

TEST(Recipes, DifferencesAreNamed) {
  const Recipe old = load_recipe("demo");
  Recipe now = old;
  EXPECT_FALSE(difference(old, now).has_value());
  apply_setting(now, "threads=7");  // another machine trains the same
  EXPECT_FALSE(difference(old, now).has_value());
  apply_setting(now, "lr=0.5");
  EXPECT_EQ(difference(old, now)->substr(0, 4), "lr: ");
  EXPECT_NE(difference(old, now)->find("0.5 now"), std::string::npos);
}

TEST(Recipes, SettingsHaveBounds) {
  for (const char* setting : {"dim=1099511627776",
                              "ffn_dim=9223372036854775807",
                              "num_layers=1000000",
                              "vocab_size=1000000000",
                              "context=100000000",
                              "num_experts=1000000",
                              "norm_eps=inf",
                              "norm_eps=nan",
                              "init_std=inf",
                              "rope_theta=inf",
                              "steps=9223372036854775807",
                              "batch_size=4294967296",
                              "threads=1000000",
                              "threads=4294967297",
                              "lr=inf",
                              "warmup_tokens=inf",
                              "weight_decay=inf",
                              "grad_clip=inf",
                              "balance_weight=inf",
                              "eval_rows=-1",
                              "keep_checkpoints=0",
                              "sample_tokens=0"}) {
    Recipe r = load_recipe("demo");
    apply_setting(r, setting);
    const std::string name = std::string(setting).substr(0, std::string(setting).find('='));
    EXPECT_NE(user_error([&] { r.check(); }).find(name), std::string::npos) << setting;
  }
  Recipe r = load_recipe("demo");  // each within its bounds, the model beyond any machine
  apply_settings(r, {"dim=1048576", "num_heads=64", "num_kv_heads=64", "num_layers=4096"});
  EXPECT_NE(user_error([&] { r.check(); }).find("parameters"), std::string::npos);
}

TEST(Recipes, MistakesAreNamed) {
  Recipe r = load_recipe("demo");
  EXPECT_EQ(user_error([&] { apply_setting(r, "stepz=3"); }), "no setting \"stepz\" (did you mean steps?)");
  EXPECT_EQ(user_error([&] { apply_setting(r, "learning_rate=3"); }),
            "no setting \"learning_rate\"; seednorm info RECIPE --settings lists all of them");
  EXPECT_EQ(user_error([&] { apply_setting(r, "steps=many"); }),
            "steps: expected a whole number, got \"many\"");
  EXPECT_EQ(user_error([&] { apply_setting(r, "steps=3.5"); }),
            "steps: expected a whole number, got \"3.5\"");
  EXPECT_EQ(user_error([&] { apply_setting(r, "steps"); }), "expected setting=value, got \"steps\"");
  EXPECT_EQ(user_error([&] { apply_setting(r, "tied=yes"); }), "tied: expected true or false, got \"yes\"");
  EXPECT_EQ(
      user_error([&] { apply_setting(r, "norm_placement=after"); }),
      "norm_placement: expected one of pre, post, peri, reordered, got \"after\"; family means the family's "
      "own");
  EXPECT_NE(user_error([&] { apply_setting(r, "norm.qk=sednorm"); }).find("perhaps \"seed_norm\""),
            std::string::npos);
  EXPECT_NE(user_error([&] { apply_setting(r, "norm=seed_norm(alhpa=1)"); }).find("no setting \"alhpa\""),
            std::string::npos);
  EXPECT_NE(user_error([] { load_recipe("olmo2-3b"); }).find("(did you mean olmo2-3m?)"), std::string::npos);
  EXPECT_NE(user_error([] { load_recipe("nowhere.toml"); }).find("nowhere.toml"), std::string::npos);
  EXPECT_NE(user_error([] { load_recipe(RecipeFile("dim = [1]\n").path()); }).find("dim"), std::string::npos);
  EXPECT_NE(user_error([] { load_recipe(RecipeFile("dim = = 1\n").path()); }).find(":1:"), std::string::npos);
  EXPECT_NE(user_error([] {
              load_recipe(RecipeFile("workload = \"langage\"\n").path());
            }).find("did you mean language?"),
            std::string::npos);
  std::string deep = "a";
  for (int i = 0; i < 100000; ++i) deep += ".a";
  EXPECT_NE(user_error([&] { load_recipe(RecipeFile(deep + " = 1\n").path()); }).find("nested deeper"),
            std::string::npos);
  EXPECT_NE(user_error([] {
              load_recipe(RecipeFile("dim = " + std::string(100000, '[') + "\n").path());
            }).find("nested deeper"),
            std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab
