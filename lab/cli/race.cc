// seednorm race
#include <cstdio>
#include <optional>

#include "lab/base/interrupt.h"
#include "lab/cli/recipe_options.h"
#include "lab/cli/verb.h"
#include "lab/dist/launch.h"
#include "lab/race/race.h"
#include "lab/report/report.h"
#include "lab/train/training_device.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  RecipeOptions recipe;
  std::string norms, lrs, out, json, parallel = "ranks";
  int64_t seeds = 1;
};

void run_race(const Arguments& arguments) {
  RaceSpec spec;
  spec.dir = arguments.out;
  spec.recipe = arguments.recipe.load();
  spec.entrants = parse_entrants(spec.recipe, arguments.norms);
  spec.seeds = arguments.seeds;
  if (!arguments.lrs.empty()) spec.entrants = at_learning_rates(spec.entrants, arguments.lrs);
  require_out(arguments.out, "race");
  const std::optional<Launch> launch = launch_from(process_environment());
  spec.parallel_runs = arguments.parallel == "runs";
  const std::string& device = spec.recipe.train.device;
  spec.group = spec.parallel_runs ? lone_group(device) : training_group(device);
  const RaceResult raced = race(spec);
  check_interrupt();
  if (launch && launch->rank > 0) return;
  const RaceSummary result = summarize(spec.recipe.name, raced);
  write_json(arguments.json, race_summary_json(result));
  write_report({spec.dir}, spec.dir / "report.html");
  std::fputs((race_table(result) + statistics_text(result)).c_str(), stdout);
  std::printf("%s\n", (spec.dir / "report.html").c_str());
}

}  // namespace

void add_race(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_recipe_options(app, arguments->recipe)->required();
  app.add_option("--norms", arguments->norms,
                 "The entrants: norms, or norms by site as in block:seed_norm+qk:seed_norm+output:rms_norm")
      ->required()
      ->type_name("LIST");
  app.add_option("--seeds", arguments->seeds,
                 "Number of runs per entrant; runs with equal seeds share data and initial weights")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option(
         "--lrs", arguments->lrs,
         "Train each entrant with each of these learning rates, as in 1e-3,2e-3,4e-3, and compare the "
         "entrants at the best one of each")
      ->type_name("LIST");
  app.add_option("--parallel", arguments->parallel,
                 "With several processes: ranks, all train each run together; or runs, each takes whole runs")
      ->check(CLI::IsMember({"ranks", "runs"}))
      ->capture_default_str();
  app.add_option("--out", arguments->out,
                 "The folder of the race, required; a race that was started there continues")
      ->type_name("DIR");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_race(*arguments); });
}

}  // namespace seednorm::lab
