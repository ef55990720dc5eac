// The same recipe with several norms and seeds, paired in data and in the weights that the models share.
//
//   RACE/race.json       what was asked for
//   RACE/runs/LABEL-sN/  a run's directory each
//   RACE/results.json    after each run: all of them so far, and paired differences
#ifndef SEEDNORM_LAB_RACE_RACE_H_
#define SEEDNORM_LAB_RACE_RACE_H_

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lab/race/entrants.h"
#include "lab/recipes/recipe.h"
#include "lab/report/run_summary.h"

namespace seednorm::lab {

struct RaceSpec {
  std::filesystem::path dir;
  Recipe recipe;
  std::vector<Entrant> entrants;
  int64_t seeds = 1;  // the recipe's seed and the ones after it; data and weights both
};

// A metric against seconds trained, one point for each measurement.
using Curve = std::vector<std::pair<double, double>>;

struct RacedRun {
  RunSummary summary;
  std::map<std::string, Curve> curves;  // by metric
};

struct RaceResult {
  RunInfo info;
  std::vector<RacedRun> runs;  // those that have finished
};

// Runs what is missing and goes on with what was begun: a race that was stopped is resumed by calling it
// again. A run that diverges is a result. Errors (UserError): a mistake in any entrant, found before
// anything is written; dir holds another race, or another process races in it; see train_run.
RaceResult race(const RaceSpec& spec);

// results.json. Pairs have a difference in each metric, and for those that are measured on the way also
// NAME_equal_time: the value that each had when the fastest entrant had finished.
RaceSummary summarize(const std::string& recipe, const RaceResult& result);
// A line for each entrant: how many runs, mean and standard deviation of each metric, speed.
std::string race_table(const RaceResult& result);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_RACE_H_
