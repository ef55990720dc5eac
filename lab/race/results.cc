// Computes results from runs: values at equal time and equal FLOPs, paired differences, what curves and
// sweeps say.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "lab/base/machine.h"
#include "lab/race/curve_statistics.h"
#include "lab/race/paired.h"
#include "lab/race/race.h"
#include "lab/race/sweep.h"

namespace seednorm::lab {
namespace {

// A run with its complete summary.
struct Run {
  const RunSummary* summary;
  const Curves* curves;
};
using RunPair = std::pair<Run, Run>;

// The runs of two entrants with the same seed.
std::vector<RunPair> run_pairs(const std::vector<Run>& runs, const std::string& a, const std::string& b) {
  std::vector<RunPair> out;
  for (const Run& x : runs) {
    for (const Run& y : runs) {
      if (x.summary->entrant == a && y.summary->entrant == b && x.summary->seed == y.summary->seed)
        out.emplace_back(x, y);
    }
  }
  return out;
}

// b - a in each pair of runs that both have the metric.
std::vector<double> differences(const std::vector<RunPair>& pairs, const std::string& metric) {
  std::vector<double> out;
  for (const auto& [a, b] : pairs) {
    const double difference = b.summary->value(metric) - a.summary->value(metric);
    if (std::isfinite(difference)) out.push_back(difference);
  }
  return out;
}

PairSummary pair_summary_of(const std::string& a, const std::string& b, const std::string& metric,
                            const MeanEstimate& difference) {
  return {.a = a,
          .b = b,
          .metric = metric,
          .n = difference.n,
          .mean_diff = difference.mean,
          .low = difference.low,
          .high = difference.high,
          .p = std::isnan(difference.p) ? std::nullopt : std::optional(difference.p),
          .p_holm = {}};
}

// Fills in p_holm, among the pairs of the same metric.
void correct(std::vector<PairSummary>& pairs) {
  std::map<std::string, std::vector<PairSummary*>> of_metric;
  for (PairSummary& pair : pairs) {
    if (pair.p) of_metric[pair.metric].push_back(&pair);
  }
  for (const auto& [metric, same] : of_metric) {
    std::vector<double> p;
    for (const PairSummary* pair : same) p.push_back(*pair->p);
    const std::vector<double> corrected = holm(p);
    for (size_t i = 0; i < same.size(); ++i) same[i]->p_holm = corrected[i];
  }
}

Interval interval_of(const MeanEstimate& e) { return {e.n, e.mean, e.low, e.high}; }

// What the curves of a pair say: the ratios of what they need to reach a value, and the trend.
void add_curve_statistics(const std::vector<RunPair>& pairs, const MetricInfo& metric, RaceSummary& out) {
  const std::string &a = pairs[0].first.summary->entrant, &b = pairs[0].second.summary->entrant;
  const auto over_pairs = [&](Axis axis, const auto& statistic) {
    std::vector<double> values;
    for (const auto& [x, y] : pairs) {
      if (x.summary->diverged || y.summary->diverged) continue;
      const double value = statistic(curve_of(x.curves->measured, metric.name, axis),
                                     curve_of(y.curves->measured, metric.name, axis));
      if (std::isfinite(value)) values.push_back(value);
    }
    return values;
  };
  const auto ratio = [&](const Curve& x, const Curve& y) {
    return reach_ratio(x, y, metric.lower_is_better);
  };
  for (const auto& [axis, of] : {std::pair(Axis::kUnits, "units"), std::pair(Axis::kSeconds, "seconds")}) {
    if (axis == Axis::kSeconds && !std::isfinite(out.equal_time_s)) continue;
    const std::vector<double> ratios = over_pairs(axis, ratio);
    if (!ratios.empty()) out.reach.push_back({a, b, metric.name, of, interval_of(mean_ratio(ratios))});
  }
  const std::vector<double> slopes = over_pairs(Axis::kUnits, trend);
  if (!slopes.empty()) out.trends.push_back({a, b, metric.name, interval_of(mean_estimate(slopes))});
}

// Whether two entrants differ in nothing but the seed of their weights.
bool are_equal(const Entrant& a, const Entrant& b) {
  return a.training_settings() == b.training_settings() && a.seed_shift() != b.seed_shift();
}

void add_sweeps(const std::vector<Sweep>& sweeps, RaceSummary& out) {
  for (const MetricInfo& metric : out.info.metrics) {
    std::vector<TunedEntrant> tuned;
    for (const Sweep& sweep : sweeps) {
      tuned.push_back(tune(sweep, out.runs, metric));
      out.sweeps.push_back(tuned.back().summary);
    }
    for (size_t a = 0; a < tuned.size(); ++a) {
      for (size_t b = a + 1; b < tuned.size(); ++b) {
        std::vector<double> of_seeds;
        for (const auto& [seed, value] : tuned[b].values) {
          const auto other = tuned[a].values.find(seed);
          if (other != tuned[a].values.end() && std::isfinite(value - other->second))
            of_seeds.push_back(value - other->second);
        }
        out.tuned.push_back(
            pair_summary_of(sweeps[a].label, sweeps[b].label, metric.name, mean_estimate(of_seeds)));
      }
    }
  }
  correct(out.tuned);
}

// The learning rate of an entrant of a sweep; 0 for other entrants.
double swept_lr(const std::vector<Sweep>& sweeps, const std::string& label) {
  for (const Sweep& sweep : sweeps) {
    for (const auto& [lr, entrant] : sweep.members) {
      if (entrant == label) return lr;
    }
  }
  return 0;
}

// How each run ended, by itself and compared with the best run of its seed.
void add_convergence(const std::vector<RacedRun>& runs, std::vector<RunSummary>& out) {
  std::map<int64_t, double> best_gain;
  for (const RacedRun& run : runs) {
    if (run.summary.diverged) continue;
    const auto [best, is_new] = best_gain.emplace(run.summary.seed, gain_of(run.curves));
    best->second = std::fmax(best->second, gain_of(run.curves));
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto best = best_gain.find(runs[i].summary.seed);
    out[i].convergence = runs[i].summary.diverged ? name_of(Convergence::kDiverged)
                                                  : name_of(convergence_of(runs[i].curves, best->second));
  }
}

// Values at equal time, if all runs were trained in this race, and, where entrants differ in them, at equal
// FLOPs, of all metrics that were measured during training. Returns the names of all metrics.
std::vector<std::string> add_equal_costs(const std::vector<RacedRun>& runs, RaceSummary& out) {
  const bool same_time = std::none_of(runs.begin(), runs.end(), [](const RacedRun& r) { return r.copied; });
  out.equal_time_s = same_time ? equal_time(out.runs) : std::numeric_limits<double>::quiet_NaN();
  out.equal_flops = equal_flops(out.runs);
  std::vector<std::string> names;
  const auto add = [&](const std::string& metric, const char* suffix, Axis axis, const auto& place) {
    bool has_curve = false;
    for (size_t i = 0; i < runs.size(); ++i) {
      const Curve curve = curve_of(runs[i].curves.measured, metric, axis);
      if (curve.empty()) continue;
      has_curve = true;
      out.runs[i].values.emplace_back(metric + suffix, value_at(curve, place(out.runs[i])));
    }
    if (has_curve) names.push_back(metric + suffix);
  };
  for (const MetricInfo& m : out.info.metrics) {
    names.push_back(m.name);
    if (same_time) {
      add(m.name, kEqualTime, Axis::kSeconds, [&](const RunSummary&) { return out.equal_time_s; });
    }
    if (!std::isfinite(out.equal_flops)) continue;
    add(m.name, kEqualFlops, Axis::kUnits,
        [&](const RunSummary& run) { return out.equal_flops / run.flops_per_unit; });
  }
  return names;
}

void add_pairs(const std::vector<Run>& runs, const std::vector<Sweep>& sweeps,
               const std::vector<std::string>& metrics, RaceSummary& out) {
  const std::vector<std::string> labels = labels_of(out.runs);
  for (size_t a = 0; a < labels.size(); ++a) {
    for (size_t b = a + 1; b < labels.size(); ++b) {
      if (swept_lr(sweeps, labels[a]) != swept_lr(sweeps, labels[b])) continue;
      const std::vector<RunPair> pairs = run_pairs(runs, labels[a], labels[b]);
      for (const std::string& metric : metrics) {
        out.pairs.push_back(
            pair_summary_of(labels[a], labels[b], metric, mean_estimate(differences(pairs, metric))));
      }
      if (pairs.empty()) continue;
      for (const MetricInfo& m : out.info.metrics) add_curve_statistics(pairs, m, out);
    }
  }
  correct(out.pairs);
}

void add_noise(const std::vector<Run>& runs, const std::vector<Entrant>& entrants,
               const std::vector<std::string>& metrics, RaceSummary& out) {
  for (size_t a = 0; a < entrants.size(); ++a) {
    for (size_t b = a + 1; b < entrants.size(); ++b) {
      if (!are_equal(entrants[a], entrants[b])) continue;
      const std::vector<RunPair> pairs = run_pairs(runs, entrants[a].label, entrants[b].label);
      // Runs that share their weights too (init_from) are the same, but for their time.
      const auto is_same = [&](const MetricInfo& m) {
        return differences(pairs, m.name) == std::vector<double>(pairs.size(), 0.0);
      };
      if (std::all_of(out.info.metrics.begin(), out.info.metrics.end(), is_same)) continue;
      for (const std::string& metric : metrics) {
        const std::vector<double> d = differences(pairs, metric);
        if (d.empty()) continue;
        out.noise.push_back(
            {entrants[a].label, entrants[b].label, metric, static_cast<int64_t>(d.size()), noise_floor(d)});
      }
    }
  }
}

}  // namespace

RaceSummary summarize(const std::string& recipe, const RaceResult& result) {
  RaceSummary out;
  out.recipe = recipe;
  out.info = result.info;
  out.machine = machine();
  for (const RacedRun& r : result.runs) out.runs.push_back(r.summary);
  add_convergence(result.runs, out.runs);
  const std::vector<std::string> metrics = add_equal_costs(result.runs, out);
  std::vector<Run> runs;
  for (size_t i = 0; i < result.runs.size(); ++i) runs.push_back({&out.runs[i], &result.runs[i].curves});
  const std::vector<Sweep> sweeps = sweeps_of(result.entrants);
  add_pairs(runs, sweeps, metrics, out);
  add_noise(runs, result.entrants, metrics, out);
  add_sweeps(sweeps, out);
  return out;
}

}  // namespace seednorm::lab
