// The summaries of runs that races write and reports read. Only this file reads and writes run.json of a run
// and results.json of a race.
#ifndef SEEDNORM_LAB_REPORT_RUN_SUMMARY_H_
#define SEEDNORM_LAB_REPORT_RUN_SUMMARY_H_

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lab/base/metric.h"
#include "lab/report/race_statistics.h"

namespace seednorm::lab {

// The kind of a run: RUN/run.json.
//   {"format": 1, "workload": "language", "unit": "token",
//    "metrics": [{"name", "title", "unit", "lower_is_better"}]}, the most important metric first
inline constexpr const char* kFirstBatchFile = "first_batch.png";  // beside run.json, of runs on pictures
struct RunInfo {
  std::string workload;
  std::string unit;  // the unit of data: "token", "image"; its plural adds an s
  std::vector<MetricInfo> metrics;
};
nlohmann::ordered_json run_info_json(const RunInfo& info);
// Nothing if `json` does not have the unit. Damaged metrics are left out.
std::optional<RunInfo> run_info(const nlohmann::ordered_json& json);

// The metric of this name, which may also be "NAME_equal_time" or "NAME_equal_flops" for a metric NAME;
// nothing if it is unknown.
std::optional<MetricInfo> find_metric(const std::vector<MetricInfo>& metrics, const std::string& name);
inline constexpr const char *kEqualTime = "_equal_time", *kEqualFlops = "_equal_flops";

// The result of one run: an element of "runs" in results.json.
//   {"norm": entrant, "seed", "steps", "tokens": units, "flops_per_token" if it is known, "seconds",
//    "tokens_per_s", "diverged", "diverged_at",
//    "convergence": "converged" | "diverged" | "blew_up" | "stagnated" | "recovered", "dir", and each value
//    under its name; "GROUP/NAME" is the member NAME of an object GROUP}
struct RunSummary {
  std::string entrant;
  int64_t seed = 0;
  std::string dir;  // relative to the race's folder
  int64_t steps = 0, units = 0;
  double flops_per_unit = std::numeric_limits<double>::quiet_NaN();  // Counts, with those of norms
  double seconds = 0;                                                // of training
  bool diverged = false;
  std::optional<int64_t> diverged_at;  // the step
  std::string convergence;             // see convergence_of in lab/race; empty if unknown
  Named<double> values;                // by the name of the metric; NaN if unknown

  double value(const std::string& name) const;  // NaN if it is missing or the run diverged
  double units_per_s() const;                   // NaN if the time is unknown
  double flops() const { return static_cast<double>(units) * flops_per_unit; }
};
nlohmann::ordered_json run_summary_json(const RunSummary& run, const std::string& unit);
// Members of another type than expected count as missing. Nothing if `json` has no "norm".
std::optional<RunSummary> run_summary(const nlohmann::ordered_json& json, const std::string& unit);

// The difference of two entrants, b - a, in one metric: an element of "pairs" in results.json.
//   {"a", "b", "metric", "mean_diff", "ci95": [low, high], "n", "p", "p_holm"}; p and p_holm if known
struct PairSummary {
  std::string a, b, metric;
  int64_t n = 0;                            // pairs of runs
  double mean_diff = 0, low = 0, high = 0;  // the 95% interval; NaN if it is unknown, as with n = 1
  std::optional<double> p, p_holm;          // p_holm: corrected for the number of pairs
};
nlohmann::ordered_json pair_summary_json(const PairSummary& pair);
std::optional<PairSummary> pair_summary(
    const nlohmann::ordered_json& json);  // nothing without a, b and metric

// results.json: {"recipe", "unit", "metrics", "equal_time_s", "equal_flops" if the entrants differ in their
// FLOPs, "machine", "runs", "pairs"}, and the lists of race_statistics.h that are not empty: "reach",
// "trends", "noise", "sweeps", and "tuned", which has the differences between entrants at the best learning
// rate of each, in the form of "pairs".
struct RaceSummary {
  std::string recipe;
  RunInfo info;
  double equal_time_s = 0;                                        // see equal_time; NaN if unknown
  double equal_flops = std::numeric_limits<double>::quiet_NaN();  // see equal_flops
  nlohmann::ordered_json machine;
  std::vector<RunSummary> runs;
  std::vector<PairSummary> pairs;
  std::vector<ReachSummary> reach;
  std::vector<TrendSummary> trends;
  std::vector<NoiseSummary> noise;
  std::vector<SweepSummary> sweeps;
  std::vector<PairSummary> tuned;
};
nlohmann::ordered_json race_summary_json(const RaceSummary& race);
// Damaged or missing parts are left out; `fallback` gives the unit and the metrics if `json` does not.
RaceSummary race_summary(const nlohmann::ordered_json& json, const RunInfo& fallback);

// The time of "at equal time" in seconds, when all runs of the fastest entrant had finished. The fastest
// entrant is the one whose slowest run took the least time; diverged runs do not count. NaN without runs.
double equal_time(const std::vector<RunSummary>& runs);
// The FLOPs of "at equal FLOPs", which is when the entrant with the fewest FLOPs had finished. NaN if
// entrants differ by 1% or less, or if the FLOPs of a run are unknown; diverged runs do not count.
double equal_flops(const std::vector<RunSummary>& runs);
// The value of a curve at x, seconds or units, for points (x, value) in order: interpolated linearly between
// two points, the last value after the last point (the run had finished), and NaN before the first.
double value_at(const std::vector<std::pair<double, double>>& curve, double x);

// The number, mean and standard deviation (NaN with fewer than two) of the finite values.
struct Spread {
  int n = 0;
  double mean = 0, sd = 0;
};
Spread spread(const std::vector<double>& values);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_RUN_SUMMARY_H_
