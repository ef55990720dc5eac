// seednorm train
#include <cstdio>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/cli/recipe_options.h"
#include "lab/cli/verb.h"
#include "lab/train/run.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  RecipeOptions recipe;
  std::string out, json;
  bool resume = false, dry_run = false, overfit = false;
};

void run_train(const Arguments& arguments) {
  const Recipe recipe = arguments.recipe.load();
  const RunResult result = train_run({.dir = arguments.out,
                                      .resume = arguments.resume,
                                      .dry_run = arguments.dry_run,
                                      .overfit = arguments.overfit,
                                      .model = recipe.model,
                                      .train = recipe.train,
                                      .config_text = to_toml(recipe)});
  if (result.interrupted) throw Interrupted("stopped and saved; --resume goes on");
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
  if (result.diverged) throw std::runtime_error(arguments.out + ": diverged");
}

}  // namespace

void add_train(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_recipe_options(app, arguments->recipe)->required();
  app.add_option("--out", arguments->out, "The folder of the run")->required()->type_name("DIR");
  app.add_flag("--resume", arguments->resume, "Go on from the newest checkpoint in it");
  app.add_flag("--dry-run", arguments->dry_run, "Build everything, take one step, write nothing");
  app.add_flag("--overfit-one-batch", arguments->overfit, "Train on the first batch again and again");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_train(*arguments); });
}

}  // namespace seednorm::lab
