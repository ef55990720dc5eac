#include "lab/cli/recipe_options.h"

namespace seednorm::lab {

Recipe RecipeOptions::load() const {
  Recipe out = load_recipe(recipe);
  for (const std::string& setting : settings) apply_setting(out, setting);
  return out;
}

CLI::Option* add_recipe_options(CLI::App& app, RecipeOptions& options) {
  CLI::Option* const recipe =
      app.add_option("RECIPE", options.recipe, "A built-in recipe, or a .toml file")->type_name("");
  app.add_option("SETTING", options.settings, "key=value: overrides one setting of the recipe")
      ->type_name("");
  return recipe;
}

}  // namespace seednorm::lab
