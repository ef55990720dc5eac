#include "lab/race/sweep.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <set>
#include <stdexcept>

namespace seednorm::lab {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::string_view kLr = "lr=";

std::optional<double> lr_of(const Entrant& entrant) {
  for (const std::string& s : entrant.settings) {
    if (s.starts_with(kLr)) return std::strtod(s.c_str() + kLr.size(), nullptr);
  }
  return std::nullopt;
}

std::vector<std::string> without_lr(const Entrant& entrant) {
  std::vector<std::string> out = entrant.settings;
  std::erase_if(out, [](const std::string& s) { return s.starts_with(kLr); });
  return out;
}

// The values of an entrant's runs by seed; NaN for a run that failed.
std::map<int64_t, double> values_of(const std::vector<RunSummary>& runs, const std::string& entrant,
                                    const std::string& metric) {
  std::map<int64_t, double> out;
  for (const RunSummary& run : runs) {
    if (run.entrant == entrant) out[run.seed] = run.value(metric);
  }
  return out;
}

// NaN if one of the seeds has no value.
double mean_of(const std::map<int64_t, double>& values, const std::set<int64_t>& seeds) {
  double sum = 0;
  for (const int64_t seed : seeds) {
    const auto found = values.find(seed);
    sum += found == values.end() ? kNaN : found->second;
  }
  return seeds.empty() ? kNaN : sum / static_cast<double>(seeds.size());
}

}  // namespace

std::vector<Sweep> sweeps_of(const std::vector<Entrant>& entrants) {
  std::vector<std::pair<std::vector<std::string>, Sweep>> groups;
  for (const Entrant& e : entrants) {
    const auto lr = lr_of(e);
    if (!lr) continue;
    const std::vector<std::string> rest = without_lr(e);
    auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == rest; });
    if (found == groups.end()) {
      found = groups.insert(groups.end(), {rest, {e.label.substr(0, e.label.rfind('@')), {}}});
    }
    found->second.members.emplace_back(*lr, e.label);
  }
  std::vector<Sweep> out;
  for (auto& [rest, sweep] : groups) {
    std::sort(sweep.members.begin(), sweep.members.end());
    if (sweep.members.size() > 1) out.push_back(std::move(sweep));
  }
  return out;
}

Parabola parabola_through(const std::vector<std::pair<double, double>>& three_points) {
  if (three_points.size() != 3) throw std::invalid_argument("parabola_through: expected three points");
  const auto [x0, y0] = three_points[0];
  const auto [x1, y1] = three_points[1];
  const auto [x2, y2] = three_points[2];
  const double d01 = (y1 - y0) / (x1 - x0), d12 = (y2 - y1) / (x2 - x1);  // Newton's divided differences
  const double a = (d12 - d01) / (x2 - x0), b = d01 - a * (x0 + x1);
  return {a, b, y0 - (a * x0 + b) * x0};
}

TunedEntrant tune(const Sweep& sweep, const std::vector<RunSummary>& runs, const MetricInfo& metric) {
  TunedEntrant out;
  SweepSummary& summary = out.summary;
  summary = {
      .entrant = sweep.label, .metric = metric.name, .lrs = {}, .means = {}, .best_lr = kNaN, .best = kNaN};
  std::vector<std::map<int64_t, double>> values;
  std::set<int64_t> seeds;
  for (const auto& [lr, entrant] : sweep.members) {
    values.push_back(values_of(runs, entrant, metric.name));
    for (const auto& [seed, value] : values.back()) seeds.insert(seed);
  }
  size_t best = sweep.members.size();
  for (size_t i = 0; i < sweep.members.size(); ++i) {
    summary.lrs.push_back(sweep.members[i].first);
    summary.means.push_back(mean_of(values[i], seeds));
    if (std::isnan(summary.means[i])) continue;
    const double leading = best < i ? summary.means[best] : kNaN;
    if (std::isnan(leading) ||
        (metric.lower_is_better ? summary.means[i] < leading : summary.means[i] > leading)) {
      best = i;
    }
  }
  if (best == sweep.members.size()) return out;
  summary.at_edge = best == 0 || best + 1 == sweep.members.size() || std::isnan(summary.means[best - 1]) ||
                    std::isnan(summary.means[best + 1]);
  if (summary.at_edge) {
    summary.best_lr = summary.lrs[best];
    summary.best = summary.means[best];
    out.values = values[best];
    return out;
  }
  const auto points = [&](const auto& y) {
    std::vector<std::pair<double, double>> three;
    for (size_t i = best - 1; i <= best + 1; ++i) three.emplace_back(std::log(summary.lrs[i]), y(i));
    return three;
  };
  const Parabola means = parabola_through(points([&](size_t i) { return summary.means[i]; }));
  const double x = means.a == 0 ? std::log(summary.lrs[best]) : means.vertex();  // 0: three equal means
  summary.best_lr = std::exp(x);
  summary.best = means.at(x);
  for (const int64_t seed : seeds) {
    out.values[seed] = parabola_through(points([&](size_t i) { return values[i].at(seed); })).at(x);
  }
  return out;
}

}  // namespace seednorm::lab
