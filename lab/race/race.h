// The same recipe with several norms and seeds, paired in data and in the weights that the models share.
//
//   RACE/race.json       what was asked for
//   RACE/runs/LABEL-sN/  a run's directory each
//   RACE/results.json    after each run: all of them so far, and paired differences
#ifndef SEEDNORM_LAB_RACE_RACE_H_
#define SEEDNORM_LAB_RACE_RACE_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/recipes/recipe.h"
#include "lab/train/run.h"

namespace seednorm::lab {

// One entrant: a norm for all positions, or parts joined by "+" that say more:
//   seed_norm
//   block:seed_norm+qk:seed_norm(alpha_init=0.1)+output:rms_norm
//   dyt+embedding_scale=true                       any setting of the recipe
// A part may begin with LABEL= in front of all: "best=block:seed_norm+output:rms_norm" names the entrant.
struct Entrant {
  std::string label;                  // as in results and folders; unique
  std::vector<std::string> settings;  // for apply_setting
};
// From a list separated by commas outside of brackets. Errors (UserError): nothing in it, a label twice.
std::vector<Entrant> parse_entrants(const std::string& list);

struct RaceSpec {
  std::filesystem::path dir;
  Recipe recipe;
  std::vector<Entrant> entrants;
  int64_t seeds = 1;  // the recipe's seed and the ones after it; data and weights both
};

struct RacedRun {
  std::string label;
  int64_t seed = 0;
  std::string dir;
  RunResult result;
  // Mean over the validation sets against seconds trained, one point for each validation.
  std::vector<std::pair<double, double>> valid_curve;
  double valid_loss() const;  // the last one; NaN without validation sets
};

// Runs what is missing and goes on with what was begun: a race that was stopped is resumed by calling it
// again. A run that diverges is a result. Errors (UserError): dir holds another race; see train_run.
std::vector<RacedRun> race(const RaceSpec& spec);

// results.json. Metrics of the pairs: train_loss (smoothed), val_loss, and val_loss_equal_time, the loss when
// the faster of the two had finished.
nlohmann::json race_results(const RaceSpec& spec, const std::vector<RacedRun>& runs);
// A line for each entrant: mean and spread of the losses, speed.
std::string race_table(const std::vector<RacedRun>& runs);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_RACE_H_
