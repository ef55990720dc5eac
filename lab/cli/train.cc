// seednorm train
#include <cstdio>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/cli/recipe_options.h"
#include "lab/cli/verb.h"
#include "lab/recipes/workloads.h"
#include "lab/train/run.h"
#include "lab/train/training_device.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  RecipeOptions recipe;
  std::string out, json;
  bool resume = false, dry_run = false, overfit = false;
};

void run_train(const Arguments& arguments) {
  const Recipe recipe = arguments.recipe.load();
  if (!arguments.dry_run) require_out(arguments.out, "train");
  RunSpec spec = run_spec(recipe, arguments.out);
  spec.resume = arguments.resume;
  spec.dry_run = arguments.dry_run;
  spec.overfit = arguments.overfit;
  spec.group = training_group(recipe.train.device);
  const RunResult result = train_run(spec);
  if (result.interrupted) throw Interrupted("stopped; a checkpoint is saved, and --resume continues the run");
  if (result.diverged && !spec.group->is_main()) throw std::runtime_error(arguments.out + ": diverged");
  if (!spec.group->is_main()) return;
  const nlohmann::ordered_json valid = result.measured.value("valid", nlohmann::ordered_json::object());
  const std::string label = arguments.out.empty() ? recipe.name : arguments.out;
  std::printf("%s: %lld steps, %lld %ss, loss %.4f", label.c_str(), static_cast<long long>(result.steps),
              static_cast<long long>(result.units), result.info.unit.c_str(), result.value(kTrainLoss));
  for (const auto& [name, value] : result.values) {
    if (name != kTrainLoss) std::printf(", %s %.4f", name.c_str(), value);
  }
  std::printf("\n");
  nlohmann::json json = {{"steps", result.steps},
                         {result.info.unit + "s", result.units},
                         {"valid_loss", valid},
                         {result.info.unit + "s_per_s", result.units_per_s},
                         {"diverged", result.diverged}};
  for (const auto& [name, value] : result.values) json[name] = value;
  write_json(arguments.json, json);
  if (result.diverged) throw std::runtime_error(arguments.out + ": diverged");
}

}  // namespace

void add_train(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_recipe_options(app, arguments->recipe)->required();
  app.add_option("--out", arguments->out, "The folder of the run, required except for a dry run")
      ->type_name("DIR");
  app.add_flag("--resume", arguments->resume, "Resume from the newest checkpoint in --out");
  app.add_flag("--dry-run", arguments->dry_run, "Build everything and take one step, but write nothing");
  app.add_flag("--overfit-one-batch", arguments->overfit, "Train on the first batch in every step");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_train(*arguments); });
}

}  // namespace seednorm::lab
