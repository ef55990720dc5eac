// The options of verbs that take a recipe.
#ifndef SEEDNORM_LAB_CLI_RECIPE_OPTIONS_H_
#define SEEDNORM_LAB_CLI_RECIPE_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "lab/language/config.h"
#include "lab/recipes/recipe.h"

namespace seednorm::lab {

struct RecipeOptions {
  std::string recipe;
  std::vector<std::string> settings;

  // Errors (UserError): see load_recipe and apply_setting.
  Recipe load() const;
};

// The settings of a language model, for verbs that need one. Errors (UserError): a recipe of another
// workload.
const LanguageConfig& language_config_of(const Recipe& recipe);

// Checks the option --out of a verb, after the recipe, whose mistakes the user should learn first. Errors
// (UserError): it was not given.
void require_out(const std::string& out, const std::string& verb);

// Adds RECIPE and SETTING... to `app`.
CLI::Option* add_recipe_options(CLI::App& app, RecipeOptions& options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_CLI_RECIPE_OPTIONS_H_
