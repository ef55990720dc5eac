// Trains the same recipe with several norms and seeds. Runs are paired: they share data and common weights.
//
//   RACE/race.json       the request
//   RACE/runs/LABEL-sN/  the directory of each run
//   RACE/results.json    all runs so far and their paired differences, updated after each run
#ifndef SEEDNORM_LAB_RACE_RACE_H_
#define SEEDNORM_LAB_RACE_RACE_H_

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lab/dist/group.h"
#include "lab/race/entrants.h"
#include "lab/recipes/recipe.h"
#include "lab/report/metrics.h"
#include "lab/report/run_summary.h"

namespace seednorm::lab {

struct RaceSpec {
  std::filesystem::path dir;
  Recipe recipe;
  std::vector<Entrant> entrants;
  int64_t seeds = 1;  // the recipe's seed and the following ones, for both data and weights
  // With a group of several processes: whether all train each run together, or each process takes whole runs.
  // The latter needs a group of one process: any number of calls may work on one race, come and go.
  bool parallel_runs = false;
  std::shared_ptr<const Group> group = std::make_shared<Group>();
  // Folders of other races. Their finished runs with exactly the settings of one of this race are copied
  // instead of trained again, unless the race has parallel_runs. Their times are not compared then.
  std::vector<std::filesystem::path> share_runs_of = {};
};

struct RacedRun {
  RunSummary summary;
  Curves curves;        // without telemetry and samples
  bool copied = false;  // from another race, see RaceSpec::share_runs_of
};

struct RaceResult {
  RunInfo info;
  std::vector<Entrant> entrants;
  std::vector<RacedRun> runs;  // the finished runs
};

// Resumes unfinished runs and starts missing ones, so that calling it again continues a race that was
// stopped. A run that diverges counts as a result. Errors (UserError): a mistake in any entrant, which is
// found before anything is written; dir has another race, or another process is running a race in it and
// neither call has parallel_runs; see train_run.
RaceResult race(const RaceSpec& spec);

// The content of results.json. Pairs have a difference in each metric. For metrics that are measured during
// training they also have NAME_equal_time, the difference when the fastest entrant had finished, unless runs
// were copied, and NAME_equal_flops, that when the one with the fewest FLOPs had, if their FLOPs differ by
// more than 1%. Holm's correction counts the pairs of one metric. Of entrants that differ in lr only
// ("LABEL@LR", a sweep), those with the same lr are pairs, and `tuned` has the pairs at the best lr of each.
RaceSummary summarize(const std::string& recipe, const RaceResult& result);
// The entrants that have runs, in order.
std::vector<std::string> labels_of(const std::vector<RunSummary>& runs);
// A line for each entrant: the number of runs, the mean and standard deviation of each metric, and
// the speed; then a line for each entrant with runs that did not converge.
std::string race_table(const RaceSummary& race);
// What the race says of each pair in its most important metric: the difference, the ratio of what both need
// to reach the same value, the trend, the noise floor, and the comparison at the best learning rates. Empty
// with one seed.
std::string statistics_text(const RaceSummary& race);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_RACE_H_
