// A recipe: a model and how it is trained, under names that users write.
#ifndef SEEDNORM_LAB_RECIPES_RECIPE_H_
#define SEEDNORM_LAB_RECIPES_RECIPE_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lab/language/models/config.h"
#include "lab/train/config.h"

namespace seednorm::lab {

struct Recipe {
  std::string name;
  std::string about;  // one line: what it is and where it comes from
  ModelConfig model;
  TrainConfig train;
};

// One setting: how it is written and what it changes.
struct Setting {
  const char* name;
  const char* help;
  void (*set)(Recipe&, std::string_view value);  // throws UserError without the setting's name
  std::string (*get)(const Recipe&);             // as set reads it
};
// In the order in which they are shown.
std::span<const Setting> settings();

// "key=value". "norm" sets all three positions. Errors (UserError): an unknown key (the nearest is named), a
// value that does not parse.
void apply_setting(Recipe& recipe, std::string_view assignment);

// A built-in recipe, or a TOML file with settings as keys; `base` names the recipe it starts from.
// Errors (UserError): neither; file, line and column of what is wrong.
Recipe load_recipe(const std::string& name_or_path);
// The names of the built-in ones: the lines of recipes.txt.
std::vector<std::string> recipe_names();

// Every setting as TOML that load_recipe reads back to an equal recipe.
std::string to_toml(const Recipe& recipe);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RECIPES_RECIPE_H_
