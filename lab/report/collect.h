// Collects the contents of folders of races, runs and evaluations.
#ifndef SEEDNORM_LAB_REPORT_COLLECT_H_
#define SEEDNORM_LAB_REPORT_COLLECT_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/report/metrics.h"
#include "lab/report/run_summary.h"

namespace seednorm::lab {

enum class RunState { kFinished, kDiverged, kUnfinished };

struct ReportRun {
  RunSummary summary;  // from results.json if it has the run, else from the curves
  RunState state = RunState::kUnfinished;
  std::string config;       // TOML
  std::string first_batch;  // a PNG in base64; empty if there is none
  Curves curves;
};

// A race, or a single run.
struct ReportGroup {
  std::string name, dir;
  bool is_race = false;
  int64_t seeds = 1;
  std::vector<std::string>
      entrants;  // labels in order, the baseline first; several races: with the race's name
  std::vector<ReportRun> runs;
  // Recipe, metrics, pairs, equal time and machine. Its `runs` are empty, since they are above.
  RaceSummary race;
  std::string config;            // TOML of the recipe
  std::string command;           // repeats it, with `config` in a file; empty if unknown
  std::string interval_command;  // the same with enough seeds for intervals; empty if it has enough
};

struct Report {
  std::vector<ReportGroup> groups;     // one for each folder of a race or a run
  nlohmann::ordered_json evaluations;  // [as read_evaluation says]
  std::vector<std::string> notes;      // a sentence for each damaged or missing item
};
// Errors are those of write_report.
Report collect(const std::vector<std::filesystem::path>& dirs);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_COLLECT_H_
