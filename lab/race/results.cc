// Computes results from runs: values at equal time, paired differences, the table.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "lab/base/machine.h"
#include "lab/base/progress.h"
#include "lab/race/paired.h"
#include "lab/race/race.h"

namespace seednorm::lab {
namespace {

std::vector<std::string> labels_of(const std::vector<RunSummary>& runs) {
  std::vector<std::string> out;
  for (const RunSummary& r : runs) {
    if (std::find(out.begin(), out.end(), r.entrant) == out.end()) out.push_back(r.entrant);
  }
  return out;
}

// The difference over the runs of two entrants with the same seed that both have the metric.
PairSummary pair_of(const std::vector<RunSummary>& runs, const std::string& a, const std::string& b,
                    const std::string& metric) {
  std::vector<double> of_a, of_b;
  for (const RunSummary& x : runs) {
    for (const RunSummary& y : runs) {
      if (x.entrant != a || y.entrant != b || x.seed != y.seed) continue;
      const double vx = x.value(metric), vy = y.value(metric);
      if (!std::isfinite(vx) || !std::isfinite(vy)) continue;
      of_a.push_back(vx);
      of_b.push_back(vy);
    }
  }
  const PairedDifference d = paired_difference(of_a, of_b);
  return {.a = a,
          .b = b,
          .metric = metric,
          .n = d.n,
          .mean_diff = d.mean,
          .low = d.low,
          .high = d.high,
          .p = {},
          .p_holm = {}};
}

// "3.2144 ± 0.0021", or less with fewer runs.
std::string text_of(const Spread& s) {
  char out[64];
  if (s.n == 0) return "-";
  if (s.n == 1) {
    std::snprintf(out, sizeof out, "%.4f", s.mean);
  } else {
    std::snprintf(out, sizeof out, "%.4f +- %.4f", s.mean, s.sd);
  }
  return out;
}

}  // namespace

RaceSummary summarize(const std::string& recipe, const RaceResult& result) {
  RaceSummary out = {.recipe = recipe,
                     .info = result.info,
                     .equal_time_s = 0,
                     .machine = machine(),
                     .runs = {},
                     .pairs = {}};
  for (const RacedRun& r : result.runs) out.runs.push_back(r.summary);
  out.equal_time_s = equal_time(out.runs);
  std::vector<std::string> metrics;
  for (const MetricInfo& m : result.info.metrics) {
    metrics.push_back(m.name);
    bool has_curve = false;
    for (size_t i = 0; i < out.runs.size(); ++i) {
      const auto curve = result.runs[i].curves.find(m.name);
      if (curve == result.runs[i].curves.end()) continue;
      has_curve = true;
      out.runs[i].values.emplace_back(m.name + kEqualTime, value_at_time(curve->second, out.equal_time_s));
    }
    if (has_curve) metrics.push_back(m.name + kEqualTime);
  }
  const std::vector<std::string> labels = labels_of(out.runs);
  for (size_t a = 0; a < labels.size(); ++a) {
    for (size_t b = a + 1; b < labels.size(); ++b) {
      for (const std::string& metric : metrics)
        out.pairs.push_back(pair_of(out.runs, labels[a], labels[b], metric));
    }
  }
  return out;
}

std::string race_table(const RaceResult& result) {
  std::vector<RunSummary> runs;
  for (const RacedRun& r : result.runs) runs.push_back(r.summary);
  char cell[256];
  std::snprintf(cell, sizeof cell, "%-33s %4s  %8s", "norm", "runs", "diverged");
  std::string out = cell;
  for (const MetricInfo& m : result.info.metrics) {
    std::snprintf(cell, sizeof cell, "  %18s", m.name.c_str());
    out += cell;
  }
  std::snprintf(cell, sizeof cell, "  %8ss/s\n", result.info.unit.c_str());
  out += cell;
  for (const std::string& label : labels_of(runs)) {
    int count = 0, diverged = 0;
    double units = 0, seconds = 0;
    for (const RunSummary& r : runs) {
      if (r.entrant != label) continue;
      ++count;
      diverged += r.diverged ? 1 : 0;
      units += static_cast<double>(r.units);
      seconds += r.seconds;
    }
    std::snprintf(cell, sizeof cell, "%-33s %4d  %8d", label.c_str(), count, diverged);
    out += cell;
    for (const MetricInfo& m : result.info.metrics) {
      std::vector<double> values;
      for (const RunSummary& r : runs) {
        if (r.entrant == label) values.push_back(r.value(m.name));
      }
      std::snprintf(cell, sizeof cell, "  %18s", text_of(spread(values)).c_str());
      out += cell;
    }
    std::snprintf(cell, sizeof cell, "  %11s\n", with_unit(units / std::max(seconds, 1e-9)).c_str());
    out += cell;
  }
  return out;
}

}  // namespace seednorm::lab
