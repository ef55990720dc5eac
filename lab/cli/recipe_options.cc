#include "lab/cli/recipe_options.h"

#include "lab/base/error.h"

namespace seednorm::lab {

Recipe RecipeOptions::load() const {
  Recipe out = load_recipe(recipe);
  apply_settings(out, settings);
  return out;
}

const LanguageConfig& language_config_of(const Recipe& recipe) {
  if (recipe.workload() != "language") {
    throw UserError(recipe.name + ": expected a recipe of a language model, got one of the workload " +
                    recipe.workload());
  }
  return recipe.config_as<LanguageConfig>();
}

void require_out(const std::string& out, const std::string& verb) {
  if (out.empty()) throw UserError(verb + ": --out is required; see seednorm " + verb + " --help");
}

CLI::Option* add_recipe_options(CLI::App& app, RecipeOptions& options) {
  CLI::Option* const recipe =
      app.add_option("RECIPE", options.recipe, "A built-in recipe, or a .toml file")->type_name("");
  app.add_option("SETTING", options.settings, "key=value: overrides one setting of the recipe")
      ->type_name("");
  return recipe;
}

}  // namespace seednorm::lab
