// Recipes: the built-in ones are whole, settings round-trip, mistakes are named.
#include <gtest/gtest.h>

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

TEST(Recipes, BuiltInOnesAreWhole) {
  for (const std::string& name : recipe_names()) {
    Recipe recipe = load_recipe(name);
    EXPECT_FALSE(recipe.about.empty()) << name;
    if (recipe.model.vocab_size == 0) recipe.model.vocab_size = 257;  // comes with the tokenizer
    EXPECT_NO_THROW(recipe.model.check()) << name;
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
    for (const Setting& s : settings()) EXPECT_EQ(s.get(again), s.get(recipe)) << name << " " << s.name;
  }
}

TEST(Recipes, NormsByPosition) {
  Recipe r = load_recipe("olmo2-3m");
  apply_setting(r, "norm=seed_norm(alpha_init=0.1)");
  apply_setting(r, "norm.output=rms_norm");
  EXPECT_EQ(r.model.block_norm.text(), "seed_norm(alpha_init=0.1)");
  EXPECT_EQ(r.model.qk_norm.text(), "seed_norm(alpha_init=0.1)");
  EXPECT_EQ(r.model.output_norm.text(), "rms_norm");
  // In a file a position's own norm wins over "norm"; TOML has no place for both, so files name positions.
  const Recipe f = load_recipe(RecipeFile("base = \"olmo2-3m\"\n[norm]\nblock = \"dyt\"\n").path());
  EXPECT_EQ(f.model.block_norm.text(), "dyt");
  EXPECT_EQ(f.model.qk_norm.text(), "rms_norm");
}

TEST(Recipes, MistakesAreNamed) {
  Recipe r = load_recipe("demo");
  EXPECT_EQ(user_error([&] { apply_setting(r, "stepz=3"); }), "no setting \"stepz\" (did you mean steps?)");
  EXPECT_EQ(user_error([&] { apply_setting(r, "steps=many"); }),
            "steps: expected a whole number, got \"many\"");
  EXPECT_EQ(user_error([&] { apply_setting(r, "steps=3.5"); }),
            "steps: expected a whole number, got \"3.5\"");
  EXPECT_EQ(user_error([&] { apply_setting(r, "steps"); }), "expected setting=value, got \"steps\"");
  EXPECT_EQ(user_error([&] { apply_setting(r, "tied=yes"); }), "tied: expected true or false, got \"yes\"");
  EXPECT_NE(user_error([&] { apply_setting(r, "norm.qk=sednorm"); }).find("perhaps \"seed_norm\""),
            std::string::npos);
  EXPECT_NE(user_error([&] { apply_setting(r, "norm=seed_norm(alhpa=1)"); }).find("no setting \"alhpa\""),
            std::string::npos);
  EXPECT_NE(user_error([] { load_recipe("olmo2-3b"); }).find("(did you mean olmo2-3m?)"), std::string::npos);
  EXPECT_NE(user_error([] { load_recipe("nowhere.toml"); }).find("nowhere.toml"), std::string::npos);
  EXPECT_NE(user_error([] { load_recipe(RecipeFile("dim = [1]\n").path()); }).find("dim"), std::string::npos);
  EXPECT_NE(user_error([] { load_recipe(RecipeFile("dim = = 1\n").path()); }).find(":1:"), std::string::npos);
}

}  // namespace
}  // namespace seednorm::lab
