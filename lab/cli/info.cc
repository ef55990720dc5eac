// seednorm info
#include <cstdio>

#include "lab/base/error.h"
#include "lab/base/progress.h"
#include "lab/cli/recipe_options.h"
#include "lab/cli/verb.h"
#include "lab/recipes/workloads.h"
#include "lab/train/optimizer.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  RecipeOptions recipe;
  std::string json;
  bool list = false, settings_help = false;
  int ranks = 1;
};

void list_recipes() {
  for (const std::string& name : recipe_names()) {
    std::printf("%-34s %s\n", name.c_str(), load_recipe(name).about.c_str());
  }
}

// Each setting with its value and, for built-in recipes, the source of the value.
void list_settings(Recipe recipe, const std::string& name) {
  Recipe plain = name.ends_with(".toml") ? recipe : load_recipe(name);
  const Settings before = plain.settings(), after = recipe.settings();
  for (size_t i = 0; i < after.size(); ++i) {
    const Setting& s = after[i];
    const bool is_given = i < before.size() && before[i].get() != s.get();
    const std::string source = is_given ? "[given]" : setting_source(name, s.name);
    std::printf("%-19s %-12s %s%s\n", s.name.c_str(), s.get().c_str(), s.help.c_str(),
                source.starts_with("[") ? ("  " + source).c_str() : "");
  }
}

void run_info(const Arguments& arguments) {
  if (arguments.list) return list_recipes();
  if (arguments.recipe.recipe.empty()) throw UserError("info: expected a recipe; see --list");
  const Recipe recipe = arguments.recipe.load();
  if (arguments.settings_help) return list_settings(recipe, arguments.recipe.recipe);
  const std::unique_ptr<Workload> workload = make_workload(recipe, Purpose::kCounting);
  const Counts counts = workload->counts();
  const std::vector<ParamGroup> groups = param_groups(workload->params(), recipe.train);
  std::printf("%s: %s\n", recipe.name.c_str(), recipe.about.c_str());
  std::printf("parameters      %14lld\n", static_cast<long long>(counts.params));
  std::printf("  active        %14lld  per %s\n", static_cast<long long>(counts.active_params),
              workload->unit().c_str());
  std::printf("  of norms      %14lld\n", static_cast<long long>(counts.norm_params));
  std::printf("  over RMSNorm  %14lld  (%.4f%%)\n", static_cast<long long>(counts.extra_params),
              100 * static_cast<double>(counts.extra_params) / static_cast<double>(counts.params));
  std::printf("FLOPs per %-5s %14.4g  matrix products, forward and backward\n", workload->unit().c_str(),
              counts.flops_per_unit);
  if (counts.norm_flops_per_unit > 0) {
    std::printf("  of norms      %14.4g  in addition (%.4f%%)\n", counts.norm_flops_per_unit,
                100 * counts.norm_flops_per_unit / counts.flops_per_unit);
  }
  const double bytes = bytes_per_rank(groups, arguments.ranks);
  std::printf(
      "memory          %14s  weights, gradients and the optimizer's state, float32%s\n",
      (with_unit(bytes) + "B").c_str(),
      arguments.ranks == 1 ? "" : (", in each of " + std::to_string(arguments.ranks) + " processes").c_str());
  std::fputs(to_text(groups).c_str(), stdout);
  nlohmann::json json = {
      {"params", counts.params},           {"active_params", counts.active_params},
      {"norm_params", counts.norm_params}, {"extra_params", counts.extra_params},
      {"bytes_per_rank", bytes},           {"flops_per_" + workload->unit(), counts.flops_per_unit},
      {"groups", nlohmann::json::array()}};
  if (counts.norm_flops_per_unit > 0) {
    json["norm_flops_per_" + workload->unit()] = counts.norm_flops_per_unit;
  }
  for (const ParamGroup& g : groups) {
    json["groups"].push_back({{"role", name_of(g.role)},
                              {"optimizer", name_of(g.method)},
                              {"tensors", g.params.size()},
                              {"params", g.num_elements()},
                              {"weight_decay", g.weight_decay}});
  }
  write_json(arguments.json, json);
}

}  // namespace

void add_info(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_recipe_options(app, arguments->recipe);
  app.add_option("--ranks", arguments->ranks, "Number of processes among which to divide the memory")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  app.add_flag("--list", arguments->list, "List the built-in recipes");
  app.add_flag("--settings", arguments->settings_help, "List every setting with its value in the recipe");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_info(*arguments); });
}

}  // namespace seednorm::lab
