// Trains the same recipe with several norms and seeds. Runs are paired: they share data and common weights.
//
//   RACE/race.json       the request
//   RACE/runs/LABEL-sN/  the directory of each run
//   RACE/results.json    all runs so far and their paired differences, updated after each run
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
  int64_t seeds = 1;  // the recipe's seed and the following ones, for both data and weights
};

// A metric over seconds of training, one point for each measurement.
using Curve = std::vector<std::pair<double, double>>;

struct RacedRun {
  RunSummary summary;
  std::map<std::string, Curve> curves;  // by metric
};

struct RaceResult {
  RunInfo info;
  std::vector<RacedRun> runs;  // the finished runs
};

// Resumes unfinished runs and starts missing ones, so that calling it again continues a race that was
// stopped. A run that diverges counts as a result. Errors (UserError): a mistake in any entrant, which is
// found before anything is written; dir has another race, or another process is running a race in it; see
// train_run.
RaceResult race(const RaceSpec& spec);

// The content of results.json. Pairs have a difference in each metric. For metrics that are measured during
// training they also have NAME_equal_time, the difference when the fastest entrant had finished.
RaceSummary summarize(const std::string& recipe, const RaceResult& result);
// A line for each entrant: the number of runs, the mean and standard deviation of each metric, and the speed.
std::string race_table(const RaceResult& result);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_RACE_H_
