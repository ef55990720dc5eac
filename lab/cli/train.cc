// seednorm train
#include <cmath>
#include <cstdio>

#include "lab/base/error.h"
#include "lab/cli/verb.h"
#include "lab/recipes/recipe.h"
#include "lab/train/run.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  std::string recipe, out, json;
  std::vector<std::string> settings;
  bool resume = false, dry_run = false, overfit = false;
};

void run_train(const Arguments& arguments) {
  Recipe recipe = load_recipe(arguments.recipe);
  for (const std::string& setting : arguments.settings) apply_setting(recipe, setting);
  const RunResult result = train_run({.dir = arguments.out,
                                      .resume = arguments.resume,
                                      .dry_run = arguments.dry_run,
                                      .overfit = arguments.overfit,
                                      .model = recipe.model,
                                      .train = recipe.train,
                                      .config_text = to_toml(recipe)});
  if (result.interrupted) throw Interrupted("saved");
  std::printf("%s: %lld steps, %lld tokens, loss %.4f", arguments.out.c_str(),
              static_cast<long long>(result.steps), static_cast<long long>(result.tokens), result.train_loss);
  for (const auto& [name, loss] : result.valid_loss) std::printf(", %s %.4f", name.c_str(), loss);
  std::printf("\n");
  nlohmann::json valid = nlohmann::json::object();
  for (const auto& [name, loss] : result.valid_loss) valid[name] = loss;
  write_json(arguments.json, {{"steps", result.steps},
                              {"tokens", result.tokens},
                              {"train_loss", result.train_loss},
                              {"valid_loss", valid},
                              {"tokens_per_s", result.tokens_per_s},
                              {"diverged", result.diverged}});
}

}  // namespace

void add_train(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("RECIPE", arguments->recipe, "A built-in recipe, or a .toml file")
      ->required()
      ->type_name("");
  app.add_option("SETTING", arguments->settings, "key=value: overrides one setting of the recipe")
      ->type_name("");
  app.add_option("--out", arguments->out, "The folder of the run")->required()->type_name("DIR");
  app.add_flag("--resume", arguments->resume, "Go on from the newest checkpoint in it");
  app.add_flag("--dry-run", arguments->dry_run, "Build everything, take one step, write nothing");
  app.add_flag("--overfit-one-batch", arguments->overfit, "Train on the first batch again and again");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_train(*arguments); });
}

}  // namespace seednorm::lab
