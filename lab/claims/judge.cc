#include "lab/claims/judge.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "lab/claims/checks.h"
#include "lab/race/curve_statistics.h"
#include "lab/race/entrants.h"
#include "lab/race/paired.h"

namespace seednorm::lab {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kLevel = 0.05;

std::string format(const char* how, double value) {
  char out[64];
  std::snprintf(out, sizeof out, how, value);
  return out;
}

std::string interval_text(const char* how, double value, double low, double high) {
  if (!std::isfinite(value)) return "no value";
  if (!std::isfinite(low)) return format(how, value) + " (no interval)";
  return format(how, value) + " (" + format(how, low) + " to " + format(how, high) + ")";
}

// What a condition came to before the correction: either a verdict, or an estimate whose positive sign speaks
// for the condition.
struct Outcome {
  std::optional<Verdict> verdict;
  double value = kNaN, p = kNaN;
  std::string text;
};

// The p of a null value of 0, from a 95% interval by Student's t with n - 1 degrees of freedom.
double p_of(const Interval& i) {
  const double half = (i.high - i.low) / 2;
  if (!std::isfinite(half) || i.n < 2) return kNaN;
  const double df = static_cast<double>(i.n - 1), error = half / student_t_of_p(kLevel, df);
  return error > 0 ? student_t_p(i.value / error, df) : i.value == 0 ? 1 : 0;
}

class Judge {
 public:
  Judge(const Expectation& expectation, const RaceSummary& race) : e_(expectation), race_(race) {
    metric_ = e_.metric.empty() && !race.info.metrics.empty() ? race.info.metrics[0].name : e_.metric;
    const auto info = find_metric(race.info.metrics, metric_);
    sign_ = info && !info->lower_is_better ? 1 : -1;
  }

  Outcome outcome(const RaceResults& results) {
    if (e_.kind == "better") return better();
    if (e_.kind == "not_worse") return not_worse();
    if (e_.kind == "gains_more") return gains_more(results.at(e_.than_race));
    if (e_.kind == "lead_grows") return lead_grows();
    if (e_.kind == "sooner") return sooner();
    if (e_.kind == "fails_to_converge") return fails_to_converge();
    return cheaper_than();
  }

 private:
  // better - worse, from the pair in either order.
  std::optional<PairSummary> pair(const std::vector<PairSummary>& pairs) const {
    for (PairSummary p : pairs) {
      if (p.metric != metric_) continue;
      if (p.a == e_.worse && p.b == e_.better) return p;
      if (p.b != e_.worse || p.a != e_.better) continue;
      p.mean_diff = -p.mean_diff;
      std::swap(p.low, p.high);
      p.low = -p.low;
      p.high = -p.high;
      return p;
    }
    return std::nullopt;
  }

  std::string noise_text() const {
    double floor = kNaN;
    for (const NoiseSummary& n : race_.noise) {
      if (n.metric == metric_) floor = std::fmax(floor, n.floor);
    }
    return std::isfinite(floor) ? ", noise floor " + format("%.4f", floor) : "";
  }

  std::string difference_text(const PairSummary& p) const {
    return metric_ + ", " + e_.better + " \u2212 " + e_.worse + ": " +
           interval_text("%+.4f", p.mean_diff, p.low, p.high) + noise_text() + ", n = " + std::to_string(p.n);
  }

  int failed(const std::string& entrant, int& runs) const {
    int out = 0;
    for (const RunSummary& run : race_.runs) {
      if (run.entrant != entrant) continue;
      ++runs;
      out += failed_to_converge(run.convergence) ? 1 : 0;
    }
    return out;
  }

  Outcome better() const {
    const auto p = pair(e_.tuned ? race_.tuned : race_.pairs);
    if (!p) return {Verdict::kNotRun, kNaN, kNaN, metric_ + ": no pair of " + e_.better + " and " + e_.worse};
    const std::string text = (e_.tuned ? "each at its best learning rate: " : "") + difference_text(*p);
    if (p->n > 0) return {std::nullopt, sign_ * p->mean_diff, p->p.value_or(kNaN), text};
    int runs_better = 0, runs_worse = 0;
    const int lost_better = failed(e_.better, runs_better), lost_worse = failed(e_.worse, runs_worse);
    const std::string lost = text + "; " + std::to_string(lost_better) + " of " +
                             std::to_string(runs_better) + " and " + std::to_string(lost_worse) + " of " +
                             std::to_string(runs_worse) + " runs failed";
    if (lost_better == 0 && lost_worse == runs_worse) return {Verdict::kHolds, kNaN, kNaN, lost};
    if (lost_worse == 0 && lost_better == runs_better) return {Verdict::kFails, kNaN, kNaN, lost};
    return {Verdict::kUndecided, kNaN, kNaN, lost};
  }

  // Holds if `worst` is at most the bound, fails if `best` is above it; both NaN without an interval.
  static Outcome by_bound(double best, double worst, double bound, std::string text) {
    const Verdict verdict = worst <= bound ? Verdict::kHolds
                            : best > bound ? Verdict::kFails
                                           : Verdict::kUndecided;
    return {verdict, kNaN, kNaN, std::move(text)};
  }

  Outcome not_worse() const {
    const auto p = pair(race_.pairs);
    if (!p) return {Verdict::kNotRun, kNaN, kNaN, metric_ + ": no pair of " + e_.better + " and " + e_.worse};
    const double low = sign_ < 0 ? p->low : -p->high, high = sign_ < 0 ? p->high : -p->low;
    return by_bound(low, high, e_.margin, difference_text(*p) + ", margin " + format("%g", e_.margin));
  }

  std::vector<double> gains(const RaceSummary& race) const {
    std::vector<double> out;
    for (const RunSummary& a : race.runs) {
      for (const RunSummary& b : race.runs) {
        if (a.entrant != e_.worse || b.entrant != e_.better || a.seed != b.seed) continue;
        const double gain = sign_ * (b.value(metric_) - a.value(metric_));
        if (std::isfinite(gain)) out.push_back(gain);
      }
    }
    return out;
  }

  Outcome gains_more(const RaceSummary& than) const {
    const std::vector<double> here = gains(race_), there = gains(than);
    const MeanEstimate d = independent_difference(there, here);
    return {std::nullopt, d.mean, d.p,
            "gain in " + metric_ + " " + format("%+.4f", mean_estimate(here).mean) + " in " + e_.race + ", " +
                format("%+.4f", mean_estimate(there).mean) + " in " + e_.than_race + ", difference " +
                interval_text("%+.4f", d.mean, d.low, d.high)};
  }

  Outcome lead_grows() const {
    for (const TrendSummary& t : race_.trends) {
      const bool same = t.a == e_.worse && t.b == e_.better, swapped = t.b == e_.worse && t.a == e_.better;
      if (t.metric != metric_ || !(same || swapped)) continue;
      const double s = same ? 1 : -1;
      const double low = same ? t.slope.low : -t.slope.high, high = same ? t.slope.high : -t.slope.low;
      return {std::nullopt, sign_ * s * t.slope.value, p_of(t.slope),
              e_.race + ": " + metric_ + ", " + e_.better + " \u2212 " + e_.worse + " per doubling of " +
                  race_.info.unit + "s " + interval_text("%+.4f", s * t.slope.value, low, high)};
    }
    return {Verdict::kNotRun, kNaN, kNaN, metric_ + ": no trend of " + e_.better + " and " + e_.worse};
  }

  Outcome sooner() const {
    for (const ReachSummary& r : race_.reach) {
      const bool same = r.a == e_.worse && r.b == e_.better, swapped = r.b == e_.worse && r.a == e_.better;
      if (r.metric != metric_ || r.of != "units" || !(same || swapped)) continue;
      const double value = same ? r.ratio.value : 1 / r.ratio.value;
      const double low = same ? r.ratio.low : 1 / r.ratio.high, high = same ? r.ratio.high : 1 / r.ratio.low;
      return by_bound(low, high, 1 / e_.factor,
                      e_.race + ": " + race_.info.unit + "s of " + e_.better + " / " + e_.worse +
                          " to the same " + metric_ + " " + interval_text("%.3f", value, low, high) +
                          ", asked below " + format("%.3g", 1 / e_.factor));
    }
    return {Verdict::kNotRun, kNaN, kNaN, metric_ + ": no curves of " + e_.better + " and " + e_.worse};
  }

  Outcome fails_to_converge() const {
    int runs = 0;
    const int lost = failed(e_.entrant, runs);
    const std::string text =
        e_.entrant + ": " + std::to_string(lost) + " of " + std::to_string(runs) + " runs failed to converge";
    if (runs == 0) return {Verdict::kNotRun, kNaN, kNaN, text};
    return {lost == runs ? Verdict::kHolds
            : lost == 0  ? Verdict::kFails
                         : Verdict::kUndecided,
            kNaN, kNaN, text};
  }

  Outcome cheaper_than() const {
    std::vector<double> ratios;
    for (const RunSummary& a : race_.runs) {
      for (const RunSummary& b : race_.runs) {
        if (a.entrant == e_.worse && b.entrant == e_.better && a.seed == b.seed)
          ratios.push_back(a.units_per_s() / b.units_per_s());
      }
    }
    const MeanEstimate m = mean_ratio(ratios);
    return by_bound(m.low, m.high, e_.factor,
                    "seconds per " + race_.info.unit + " of " + e_.better + " / " + e_.worse + " " +
                        interval_text("%.3f", m.mean, m.low, m.high) + ", asked below " +
                        format("%g", e_.factor));
  }

  const Expectation& e_;
  const RaceSummary& race_;
  std::string metric_;
  double sign_ = -1;  // times a difference: positive where it is an improvement
};

bool is_complete(const std::string& race, const RaceResults& results) {
  const auto found = results.find(race);
  if (found == results.end()) return false;
  const ClaimRace asked = load_claim_race(race);
  const auto count = [](const std::string& list) { return std::count(list.begin(), list.end(), ',') + 1; };
  const size_t rates = asked.lrs.empty() ? 1 : static_cast<size_t>(count(asked.lrs));
  const Recipe recipe = load_recipe(asked.recipe);
  const size_t entrants = parse_entrants(recipe, asked.norms).size();
  return found->second.runs.size() >= entrants * rates * static_cast<size_t>(asked.seeds);
}

Outcome outcome_of(const Expectation& e, const RaceResults& results) {
  if (e.kind == "check") {
    const CheckResult check = run_check(e.check);
    return {check.holds ? Verdict::kHolds : Verdict::kFails, kNaN, kNaN, check.text};
  }
  for (const std::string& race : {e.race, e.than_race}) {
    if (!race.empty() && !is_complete(race, results))
      return {Verdict::kNotRun, kNaN, kNaN, "race " + race + ": not run"};
  }
  return Judge(e, results.at(e.race)).outcome(results);
}

bool is_judged_by_p(const Expectation& e) {
  return e.kind == "better" || e.kind == "gains_more" || e.kind == "lead_grows";
}

Verdict combined(const std::vector<Finding>& findings) {
  const auto any = [&](Verdict v) {
    return std::any_of(findings.begin(), findings.end(), [&](const Finding& f) { return f.verdict == v; });
  };
  for (const Verdict v : {Verdict::kFails, Verdict::kNotRun, Verdict::kUndecided}) {
    if (any(v)) return v;
  }
  return Verdict::kHolds;
}

}  // namespace

std::string name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds:
      return "holds";
    case Verdict::kFails:
      return "fails";
    case Verdict::kUndecided:
      return "undecided";
    case Verdict::kNotRun:
      break;
  }
  return "not_run";
}

Judgement judge(const Claim& claim, const RaceResults& results) {
  std::vector<Outcome> outcomes;
  std::vector<double> p;
  for (const Expectation& e : claim.expectations) {
    outcomes.push_back(outcome_of(e, results));
    // A comparison that was announced counts although its race has not run yet, as if it had shown nothing.
    const bool is_missing = outcomes.back().verdict == Verdict::kNotRun && is_judged_by_p(e);
    p.push_back(is_missing ? 1 : outcomes.back().p);
  }
  const std::vector<double> corrected = holm(p);
  Judgement out;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const Outcome& o = outcomes[i];
    Finding finding = {o.verdict.value_or(Verdict::kUndecided), o.text};
    if (!o.verdict && corrected[i] < kLevel)
      finding.verdict = o.value > 0 ? Verdict::kHolds : Verdict::kFails;
    if (!o.verdict && std::isfinite(corrected[i])) finding.text += ", p " + format("%.2g", corrected[i]);
    out.findings.push_back(std::move(finding));
  }
  out.verdict = combined(out.findings);
  return out;
}

nlohmann::ordered_json claim_json(const Claim& claim, const Judgement& judgement) {
  std::string scale, ours;
  for (const std::string& race : claim.races())
    scale += (scale.empty() ? "" : "; ") + load_claim_race(race).about;
  auto findings = nlohmann::ordered_json::array();
  for (const Finding& f : judgement.findings) {
    ours += (ours.empty() ? "" : "; ") + f.text;
    findings.push_back({{"verdict", name_of(f.verdict)}, {"text", f.text}});
  }
  return {{"name", claim.name},
          {"source", claim.source},
          {"statement", claim.statement},
          {"verdict", name_of(judgement.verdict)},
          {"scale", scale.empty() ? "exact" : scale},
          {"ours", ours},
          {"paper", claim.paper},
          {"decides", claim.decides},
          {"findings", findings}};
}

}  // namespace seednorm::lab
