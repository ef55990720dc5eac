#include "lab/report/headline.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <vector>

#include "lab/report/evaluations.h"

namespace seednorm::lab {
namespace {

struct EntrantSummary {
  std::string label;
  int runs = 0, diverged = 0, blew_up = 0, stagnated = 0, recovered = 0;
  Spread values;  // of the runs that finished
};

// 12345678 as "12,345,678".
std::string grouped(int64_t value) {
  std::string out = std::to_string(value);
  for (int64_t at = static_cast<int64_t>(out.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3) {
    out.insert(static_cast<size_t>(at), ",");
  }
  return out;
}

std::string with_decimals(double value, int decimals) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string with_sign(double value, int decimals) {
  return (value < 0 ? "\u2212" : "+") + with_decimals(std::fabs(value), decimals);
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    out += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return out;
}

std::string plural(int64_t count, const std::string& word) {
  return std::to_string(count) + " " + word + (count == 1 ? "" : "s");
}

std::string with_unit(const std::string& number, const MetricInfo& metric) {
  if (metric.unit.empty()) return number;
  return number + (metric.unit == "%" ? "" : " ") + metric.unit;
}

std::vector<EntrantSummary> summaries(const ReportGroup& group, const MetricInfo& metric) {
  std::vector<EntrantSummary> out;
  for (const std::string& label : group.entrants) {
    EntrantSummary& s = out.emplace_back();
    s.label = label;
    std::vector<double> values;
    for (const ReportRun& run : group.runs) {
      if (run.summary.entrant != label || run.state == RunState::kUnfinished) continue;
      ++s.runs;
      s.diverged += run.state == RunState::kDiverged ? 1 : 0;
      s.blew_up += run.summary.convergence == "blew_up" ? 1 : 0;
      s.stagnated += run.summary.convergence == "stagnated" ? 1 : 0;
      s.recovered += run.summary.convergence == "recovered" ? 1 : 0;
      values.push_back(run.summary.value(metric.name));
    }
    s.values = spread(values);
  }
  return out;
}

// The conclusion about a pair from its interval and its correction.
std::string verdict(const PairSummary& pair, const MetricInfo& metric) {
  if (pair.low <= 0 && pair.high >= 0) return "no difference shown, since the interval includes 0";
  if (pair.p_holm && !(*pair.p_holm < 0.05)) return "no difference shown once corrected for all pairs";
  return ((pair.high < 0) == metric.lower_is_better ? pair.b : pair.a) + " is better";
}

std::string p_value(double p) { return p < 0.0001 ? "< 0.0001" : "= " + with_decimals(p, p < 0.01 ? 4 : 3); }

// `num_pairs`: pairs of entrants that were compared.
std::string difference(const PairSummary& pair, const MetricInfo& metric, size_t num_pairs) {
  const std::string head = metric.title + ", " + pair.b + " \u2212 " + pair.a + ": ";
  if (!std::isfinite(pair.low) || !std::isfinite(pair.high)) {
    return head + with_unit(with_sign(pair.mean_diff, 4), metric) + " (n = " + std::to_string(pair.n) +
           "); one pair of runs gives no interval, three seeds (--seeds 3) would";
  }
  const double half = (pair.high - pair.low) / 2;
  // Two digits of the interval's half width are all that is significant.
  const int decimals = half > 0 ? std::clamp(static_cast<int>(1 - std::floor(std::log10(half))), 2, 7) : 4;
  std::string out = head + with_sign(pair.mean_diff, decimals) + " \u00b1 " +
                    with_unit(with_decimals(half, decimals), metric) +
                    " (95% interval, n = " + std::to_string(pair.n);
  if (pair.p_holm) out += ", corrected p " + p_value(*pair.p_holm);
  out += "): " + verdict(pair, metric);
  if (num_pairs > 1 && !pair.p_holm) {
    out += ". This is one interval of " + std::to_string(num_pairs) + ", not corrected for their number";
  }
  return out;
}

// Whether this entrant equals the first but for the seed of its weights, so that it measures the noise.
bool measures_noise(const ReportGroup& group, const std::string& first, const std::string& entrant) {
  return std::any_of(group.race.noise.begin(), group.race.noise.end(),
                     [&](const NoiseSummary& n) { return n.a == first && n.b == entrant; });
}

// The pair of the baseline and the best of the others that did not diverge, of those that measure the noise
// only if there are no others; nothing without a number.
std::optional<std::string> best_difference(const ReportGroup& group, const std::vector<EntrantSummary>& all,
                                           const MetricInfo& metric) {
  if (all.size() < 2) return std::nullopt;
  const auto better = [&](const EntrantSummary& x, const EntrantSummary& y) {
    if (std::isnan(x.values.mean) || std::isnan(y.values.mean)) {
      return std::isnan(y.values.mean) && !std::isnan(x.values.mean);
    }
    const bool x_is_noise = measures_noise(group, all[0].label, x.label);
    if (x_is_noise != measures_noise(group, all[0].label, y.label)) return !x_is_noise;
    return metric.lower_is_better ? x.values.mean < y.values.mean : x.values.mean > y.values.mean;
  };
  const auto best = std::min_element(all.begin() + 1, all.end(), better);
  const size_t num_pairs = all.size() * (all.size() - 1) / 2;
  for (const PairSummary& pair : group.race.pairs) {
    const bool is_it = pair.metric == metric.name && pair.a == all[0].label && pair.b == best->label;
    if (is_it && std::isfinite(pair.mean_diff)) return difference(pair, metric, num_pairs);
  }
  return std::nullopt;
}

std::string each_value(const std::vector<EntrantSummary>& all, const MetricInfo& metric) {
  std::vector<std::string> out;
  for (const EntrantSummary& s : all) {
    if (s.values.n == 0) continue;
    std::string text = s.label + " " + with_decimals(s.values.mean, 4);
    if (s.values.n > 1) text += " \u00b1 " + with_decimals(s.values.sd, 4);
    out.push_back(text);
  }
  return out.empty() ? "" : metric.title + ": " + with_unit(joined(out), metric);
}

std::string divergences(const std::vector<EntrantSummary>& all) {
  std::string out;
  const auto add = [&](const EntrantSummary& s, const char* how, int count) {
    if (count == 0) return;
    out += (out.empty() ? "" : "; ") + s.label + how + std::to_string(count) + " of " + plural(s.runs, "run");
  };
  for (const EntrantSummary& s : all) {
    add(s, " diverged in ", s.diverged);
    add(s, " blew up in ", s.blew_up);
    add(s, " stagnated in ", s.stagnated);
    add(s, " blew up on the way and recovered in ", s.recovered);
  }
  return out;
}

std::string answer(const ReportGroup& group) {
  std::string lost;
  for (const MetricInfo& metric : group.race.info.metrics) {
    const std::vector<EntrantSummary> all = summaries(group, metric);
    lost = divergences(all);
    const std::string out = best_difference(group, all, metric).value_or(each_value(all, metric));
    if (!out.empty()) return out + (lost.empty() ? "." : "; " + lost + ".");
  }
  return lost.empty() ? "No run has finished yet." : lost + ".";
}

std::string title(const ReportGroup& group) {
  std::string out = joined(group.entrants);
  if (!group.race.recipe.empty()) out += " in " + group.race.recipe;
  int64_t steps = 0;
  for (const ReportRun& run : group.runs) steps = std::max(steps, run.summary.steps);
  if (group.seeds > 1) out += ", " + plural(group.seeds, "seed");
  if (steps > 0) out += ", " + grouped(steps) + (steps == 1 ? " step" : " steps");
  return out;
}

}  // namespace

Headline headline_of(const ReportGroup& group) { return {title(group), answer(group)}; }

Headline headline_of(const Report& report) {
  if (report.groups.size() == 1) return headline_of(report.groups[0]);
  std::vector<std::string> names;
  if (report.groups.empty()) {
    for (const auto& evaluation : report.evaluations) names.push_back(evaluation["name"]);
    return {"Evaluation of " + joined(names), evaluations_answer(report.evaluations)};
  }
  std::string answers;
  for (const ReportGroup& group : report.groups) {
    names.push_back(group.name);
    answers += (answers.empty() ? "" : " ") + group.name + ": " + answer(group);
  }
  return {std::to_string(report.groups.size()) + " results: " + joined(names), answers};
}

}  // namespace seednorm::lab
