// The table of a race for the terminal.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "lab/base/progress.h"
#include "lab/race/curve_statistics.h"
#include "lab/race/race.h"

namespace seednorm::lab {
namespace {

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

std::string number(double value, const char* format) {
  char out[64];
  std::snprintf(out, sizeof out, format, value);
  return out;
}

// "dyt: 1 of 3 runs stagnated"; empty if all runs converged without falling back.
std::string failures_of(const RaceSummary& race, const std::string& label) {
  std::map<std::string, int> counts;
  int runs = 0;
  for (const RunSummary& r : race.runs) {
    if (r.entrant != label) continue;
    ++runs;
    if (r.convergence != name_of(Convergence::kConverged)) ++counts[r.convergence];
  }
  std::string out;
  for (const auto& [state, count] : counts) {
    const std::string how = state == name_of(Convergence::kBlewUp)      ? "blew up"
                            : state == name_of(Convergence::kRecovered) ? "blew up on the way and recovered"
                                                                        : state;
    out += label + ": " + std::to_string(count) + " of " + std::to_string(runs) + " runs " + how + "\n";
  }
  return out;
}

}  // namespace

std::vector<std::string> labels_of(const std::vector<RunSummary>& runs) {
  std::vector<std::string> out;
  for (const RunSummary& r : runs) {
    if (std::find(out.begin(), out.end(), r.entrant) == out.end()) out.push_back(r.entrant);
  }
  return out;
}

std::string race_table(const RaceSummary& race) {
  char cell[256];
  std::snprintf(cell, sizeof cell, "%-33s %4s  %8s", "norm", "runs", "diverged");
  std::string out = cell;
  for (const MetricInfo& m : race.info.metrics) {
    std::snprintf(cell, sizeof cell, "  %18s", m.name.c_str());
    out += cell;
  }
  std::snprintf(cell, sizeof cell, "  %8ss/s\n", race.info.unit.c_str());
  out += cell;
  std::string failures;
  for (const std::string& label : labels_of(race.runs)) {
    int count = 0, diverged = 0;
    double units = 0, seconds = 0;
    for (const RunSummary& r : race.runs) {
      if (r.entrant != label) continue;
      ++count;
      diverged += r.diverged ? 1 : 0;
      units += static_cast<double>(r.units);
      seconds += r.seconds;
    }
    std::snprintf(cell, sizeof cell, "%-33s %4d  %8d", label.c_str(), count, diverged);
    out += cell;
    for (const MetricInfo& m : race.info.metrics) {
      std::vector<double> values;
      for (const RunSummary& r : race.runs) {
        if (r.entrant == label) values.push_back(r.value(m.name));
      }
      std::snprintf(cell, sizeof cell, "  %18s", text_of(spread(values)).c_str());
      out += cell;
    }
    std::snprintf(cell, sizeof cell, "  %11s\n", with_unit(units / std::max(seconds, 1e-9)).c_str());
    out += cell;
    failures += failures_of(race, label);
  }
  return out + failures;
}

std::string statistics_text(const RaceSummary& race) {
  if (race.info.metrics.empty()) return "";
  const std::string metric = race.info.metrics[0].name;
  std::string out;
  const auto line = [&](const std::string& what, const Interval& i, const char* format) {
    out += "    " + what + " " + number(i.value, format) + ", 95% from " + number(i.low, format) + " to " +
           number(i.high, format) + "\n";
  };
  const auto add_pair = [&](const PairSummary& pair, const std::string& at) {
    if (pair.metric != metric || !std::isfinite(pair.low)) return;
    out += "  " + pair.b + " - " + pair.a + at + "\n";
    line(metric, {pair.n, pair.mean_diff, pair.low, pair.high}, "%+.4f");
    if (pair.p_holm)
      out += "    p " + number(*pair.p, "%.4f") + ", corrected for all pairs " +
             number(*pair.p_holm, "%.4f") + "\n";
  };
  for (const PairSummary& pair : race.pairs) {
    add_pair(pair, "");
    if (pair.metric != metric) continue;
    for (const ReachSummary& r : race.reach) {
      if (r.a == pair.a && r.b == pair.b && r.metric == metric && std::isfinite(r.ratio.low))
        line((r.of == "units" ? race.info.unit + "s" : r.of) + " to the same value, ratio", r.ratio, "%.3f");
    }
    for (const TrendSummary& t : race.trends) {
      if (t.a == pair.a && t.b == pair.b && t.metric == metric && std::isfinite(t.slope.low))
        line("change of the difference when " + race.info.unit + "s double", t.slope, "%+.4f");
    }
  }
  for (const NoiseSummary& n : race.noise) {
    if (n.metric == metric)
      out += "  noise floor of " + metric + " " + number(n.floor, "%.4f") + " (" + n.a + " against " + n.b +
             ", n = " + std::to_string(n.n) + ")\n";
  }
  for (const SweepSummary& sweep : race.sweeps) {
    if (sweep.metric != metric || !std::isfinite(sweep.best)) continue;
    out += "  " + sweep.entrant + " at its best lr, " + number(sweep.best_lr, "%.3g") +
           (sweep.at_edge ? " (the edge of the sweep; sweep further)" : "") + ": " + metric + " " +
           number(sweep.best, "%.4f") + "\n";
  }
  for (const PairSummary& pair : race.tuned) add_pair(pair, ", each at its best lr");
  return out.empty() ? out : "differences with 95% intervals\n" + out;
}

}  // namespace seednorm::lab
