// What a race computes beyond the differences of its pairs, as members of results.json. Members that are
// missing or damaged count as absent.
#ifndef SEEDNORM_LAB_REPORT_RACE_STATISTICS_H_
#define SEEDNORM_LAB_REPORT_RACE_STATISTICS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace seednorm::lab {

// An estimate over `n` seeds with its 95% interval, which is NaN if it is unknown.
struct Interval {
  int64_t n = 0;
  double value = 0, low = 0, high = 0;
};

// How much b needs to reach the worse one of the two final values, divided by what a needs: below 1, b is
// faster. An element of "reach": {"a", "b", "metric", "of": "units" | "seconds", "ratio", "ci95", "n"}.
struct ReachSummary {
  std::string a, b, metric, of;
  Interval ratio;
};

// The change of the difference b - a for each doubling of the data, over the last three quarters of it. An
// element of "trends": {"a", "b", "metric", "slope", "ci95", "n"}.
struct TrendSummary {
  std::string a, b, metric;
  Interval slope;
};

// The noise floor: the size that the mean difference of two equal entrants, a and b, exceeds with a
// probability of 5%. An element of "noise": {"a", "b", "metric", "floor", "n"}.
struct NoiseSummary {
  std::string a, b, metric;
  int64_t n = 0;
  double floor = 0;
};

// The metric of an entrant over learning rates. An element of "sweeps":
//   {"entrant", "metric", "lrs", "means", "best_lr", "best", "at_edge"}
struct SweepSummary {
  std::string entrant, metric;
  std::vector<double> lrs, means;  // in increasing order; the mean over seeds, NaN if no run finished
  double best_lr = 0, best = 0;    // of the parabola through the best measured rate and its neighbours
  bool at_edge = false;            // the best measured rate has no neighbour on one side: sweep further
};

nlohmann::ordered_json reach_json(const ReachSummary& reach);
std::optional<ReachSummary> reach_summary(const nlohmann::ordered_json& json);
nlohmann::ordered_json trend_json(const TrendSummary& trend);
std::optional<TrendSummary> trend_summary(const nlohmann::ordered_json& json);
nlohmann::ordered_json noise_json(const NoiseSummary& noise);
std::optional<NoiseSummary> noise_summary(const nlohmann::ordered_json& json);
nlohmann::ordered_json sweep_json(const SweepSummary& sweep);
std::optional<SweepSummary> sweep_summary(const nlohmann::ordered_json& json);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_RACE_STATISTICS_H_
