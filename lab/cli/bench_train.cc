// seednorm bench train
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <cstdio>
#include <iostream>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/base/median.h"
#include "lab/base/progress.h"
#include "lab/base/stopwatch.h"
#include "lab/cli/recipe_options.h"
#include "lab/cli/verb.h"
#include "lab/nn/cpu/machine_products.h"
#include "lab/nn/matmul_speed.h"
#include "lab/race/entrants.h"
#include "lab/recipes/workloads.h"
#include "lab/train/threads.h"
#include "lab/train/trainer.h"
#include "lab/train/training_device.h"

namespace seednorm::lab {
namespace {

struct Arguments {
  RecipeOptions recipe;
  std::string norms, json;
  int64_t warmup = 2, steps = 10;
  bool turns = false;
};

double seconds_of(Trainer& trainer) {
  const Stopwatch watch;
  trainer.step();
  return watch.seconds();
}

std::unique_ptr<Workload> made(const Recipe& recipe) {
  std::unique_ptr<Workload> out = make_workload(recipe, Purpose::kBenchmark);
  out->module().to(training_device(recipe.train.device, /*local_rank=*/0));
  return out;
}

// A model that trains on random data, on which the cost of a step does not depend.
struct Contestant {
  Contestant(const std::string& name, const Recipe& recipe)
      : label(name), workload(made(recipe)), trainer(*workload, recipe.train) {
    first_step = seconds_of(trainer);
  }

  std::string label;
  std::unique_ptr<Workload> workload;
  Trainer trainer;
  double first_step;
  std::vector<double> steps;  // seconds
};

std::vector<std::unique_ptr<Contestant>> contestants(const Arguments& arguments, const Recipe& recipe) {
  std::vector<Entrant> entrants = {{"recipe", {}}};
  if (!arguments.norms.empty()) entrants = parse_entrants(recipe, arguments.norms);
  std::vector<std::unique_ptr<Contestant>> out;
  for (const Entrant& entrant : entrants) {
    out.push_back(std::make_unique<Contestant>(entrant.label, entrant_recipe(recipe, entrant)));
  }
  return out;
}

// The contestants take one step each in turn, so that other load on the machine affects all alike.
nlohmann::ordered_json take_steps(std::vector<std::unique_ptr<Contestant>>& all, int64_t steps) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (int64_t i = 0; i < steps; ++i) {
    check_interrupt();
    for (const auto& c : all) {
      c->steps.push_back(seconds_of(c->trainer));
      out[c->label].push_back(c->steps.back());
    }
  }
  return out;
}

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

nlohmann::ordered_json result_of(const Contestant& c, double peak) {
  const std::string unit = c.workload->unit();
  const double seconds = median(c.steps), speed = static_cast<double>(c.trainer.units_per_step()) / seconds;
  const double flops = c.workload->counts().flops_per_unit * speed;
  std::printf("%-24s %8.1f ms per step  %8s %ss/s  %5.1f%% of matrix products' speed\n", c.label.c_str(),
              1e3 * seconds, with_unit(speed).c_str(), unit.c_str(), 100 * flops / peak);
  return {{"norm", c.label},         {"median_step_s", seconds}, {unit + "s_per_s", speed},
          {"of_peak", flops / peak}, {"step_s", c.steps},        {"first_step_s", c.first_step}};
}

void run_bench(const Arguments& arguments) {
  const Recipe recipe = arguments.recipe.load();
  recipe.check();
  set_training_threads(recipe.train.threads);
  set_product_choice(product_choice_of(recipe.train.products));
  const bool half = recipe.train.dtype == Precision::kBFloat16;
  const at::ScalarType activations = half ? at::kBFloat16 : at::kFloat;
  const at::Device device = training_device(recipe.train.device, /*local_rank=*/0);
  auto all = contestants(arguments, recipe);
  for (const auto& c : all) {
    for (int64_t i = 0; i < arguments.warmup; ++i) seconds_of(c->trainer);
  }
  if (arguments.turns) {
    std::cout << nlohmann::ordered_json{{"config", all[0]->workload->model_config()},
                                        {"params", all[0]->workload->counts().params}}
              << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << take_steps(all, arguments.steps) << std::endl;
    }
  } else {
    take_steps(all, arguments.steps);
  }
  const int64_t peak_bytes = peak_memory_bytes();  // of the steps alone
  const double peak = matmul_flops_per_s(activations, device);
  nlohmann::ordered_json json = {{"recipe", recipe.name},
                                 {"settings", arguments.recipe.settings},
                                 {"dtype", half ? "bfloat16" : "float32"},
                                 {"threads", at::get_num_threads()},
                                 {recipe.unit() + "s_per_step", all[0]->trainer.units_per_step()},
                                 {"matmul_flops_per_s", peak},
                                 {"results", nlohmann::ordered_json::array()}};
  for (const auto& c : all) json["results"].push_back(result_of(*c, peak));
  json["peak_memory_bytes"] = peak_bytes;
  std::printf("peak memory %sB, matrix products %sFLOP/s, %d threads\n",
              with_unit(static_cast<double>(peak_bytes)).c_str(), with_unit(peak).c_str(),
              at::get_num_threads());
  write_json(arguments.json, json);
}

}  // namespace

void add_bench_train(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_recipe_options(app, arguments->recipe)->required();
  app.add_option("--norms", arguments->norms,
                 "Norms to measure in turn, written as for race (default: the recipe's own)")
      ->type_name("LIST");
  app.add_option("--steps", arguments->steps, "Number of steps to measure")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--warmup", arguments->warmup, "Number of steps before the measurement")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_flag("--turns", arguments->turns,
               "Take the steps each time a line arrives on standard input, and print their seconds");
  add_json_option(app, arguments->json);
  app.callback([arguments] { run_bench(*arguments); });
}

}  // namespace seednorm::lab
