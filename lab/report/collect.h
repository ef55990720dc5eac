// What folders of races, runs and evaluations hold.
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
  RunSummary summary;  // from results.json if that has the run, else from its curves
  RunState state = RunState::kUnfinished;
  std::string config;  // TOML
  Curves curves;
};

// A race, or a run of its own.
struct ReportGroup {
  std::string name, dir;
  bool is_race = false;
  int64_t seeds = 1;
  std::vector<std::string>
      entrants;  // labels in order, the baseline first; several races: with the race's name
  std::vector<ReportRun> runs;
  // Recipe, metrics, pairs, equal time and machine. Its runs are empty, being those above.
  RaceSummary race;
  std::string config;            // TOML of the recipe
  std::string command;           // makes it again, from `config` in a file; empty if it is not known
  std::string interval_command;  // the same with enough seeds for intervals; empty where there are
};

struct Report {
  std::vector<ReportGroup> groups;     // one for each folder of a race or a run
  nlohmann::ordered_json evaluations;  // [as read_evaluation says]
  std::vector<std::string> notes;      // a sentence each about what is damaged or missing
};
// Errors as of write_report.
Report collect(const std::vector<std::filesystem::path>& dirs);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_COLLECT_H_
