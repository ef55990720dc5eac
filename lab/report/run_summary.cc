#include "lab/report/run_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "lab/report/fields.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

int64_t integer_at(const Json& json, const char* key) {
  const double value = number_at(json, key);
  return std::fabs(value) < 1e15 ? static_cast<int64_t>(value) : 0;  // NaN is 0 too
}

std::optional<double> optional_at(const Json& json, const char* key) {
  const double value = number_at(json, key);
  return std::isnan(value) ? std::nullopt : std::optional(value);
}

Json metrics_json(const std::vector<MetricInfo>& metrics) {
  Json out = Json::array();
  for (const MetricInfo& m : metrics) {
    out.push_back(
        {{"name", m.name}, {"title", m.title}, {"unit", m.unit}, {"lower_is_better", m.lower_is_better}});
  }
  return out;
}

// The list as an array of JSON, if it is not empty.
template <class T>
void put_list(Json& out, const char* key, const std::vector<T>& list, Json (*json)(const T&)) {
  for (const T& element : list) out[key].push_back(json(element));
}

template <class T>
std::vector<T> list_at(const Json& json, const char* key, std::optional<T> (*parse)(const Json&)) {
  std::vector<T> out;
  for (const Json& element : array_at(json, key)) {
    if (auto parsed = parse(element)) out.push_back(*std::move(parsed));
  }
  return out;
}

// A name of the group's member, "GROUP/NAME", is put into an object.
void put_value(Json& out, const std::string& name, double value) {
  const size_t slash = name.find('/');
  if (slash == std::string::npos) {
    out[name] = number_or_null(value);
  } else {
    out[name.substr(0, slash)][name.substr(slash + 1)] = number_or_null(value);
  }
}

}  // namespace

Json run_info_json(const RunInfo& info) {
  return {{"format", 1},
          {"workload", info.workload},
          {"unit", info.unit},
          {"metrics", metrics_json(info.metrics)}};
}

std::optional<RunInfo> run_info(const Json& json) {
  RunInfo out = {text_at(json, "workload"), text_at(json, "unit"), {}};
  if (out.unit.empty()) return std::nullopt;
  for (const Json& metric : array_at(json, "metrics")) {
    MetricInfo m = {text_at(metric, "name"), text_at(metric, "title"), text_at(metric, "unit")};
    if (m.name.empty()) continue;
    if (m.title.empty()) m.title = m.name;
    m.lower_is_better = metric.value("lower_is_better", Json()) != false;
    out.metrics.push_back(std::move(m));
  }
  return out;
}

std::optional<MetricInfo> find_metric(const std::vector<MetricInfo>& metrics, const std::string& name) {
  const auto named = [&](const std::string& wanted) {
    return std::find_if(metrics.begin(), metrics.end(), [&](const auto& m) { return m.name == wanted; });
  };
  if (const auto found = named(name); found != metrics.end()) return *found;
  for (const auto& [suffix, words] : {std::pair<std::string, const char*>(kEqualTime, " at equal time"),
                                      {kEqualFlops, " at equal FLOPs"}}) {
    if (!name.ends_with(suffix)) continue;
    const auto base = named(name.substr(0, name.size() - suffix.size()));
    if (base == metrics.end()) return std::nullopt;
    MetricInfo out = *base;
    out.name = name;
    out.title += words;
    return out;
  }
  return std::nullopt;
}

double RunSummary::value(const std::string& name) const {
  if (diverged) return kNaN;
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.first == name; });
  return found == values.end() ? kNaN : found->second;
}

double RunSummary::units_per_s() const { return seconds > 0 ? static_cast<double>(units) / seconds : kNaN; }

Json run_summary_json(const RunSummary& run, const std::string& unit) {
  Json out = {{"norm", run.entrant},
              {"seed", run.seed},
              {"steps", run.steps},
              {unit + "s", run.units},
              {"seconds", number_or_null(run.seconds)},
              {unit + "s_per_s", number_or_null(run.units_per_s())},
              {"diverged", run.diverged}};
  if (std::isfinite(run.flops_per_unit)) out["flops_per_" + unit] = run.flops_per_unit;
  if (run.diverged_at) out["diverged_at"] = *run.diverged_at;
  if (!run.convergence.empty()) out["convergence"] = run.convergence;
  for (const auto& [name, value] : run.values) put_value(out, name, value);
  out["dir"] = run.dir;
  return out;
}

std::optional<RunSummary> run_summary(const Json& json, const std::string& unit) {
  RunSummary out;
  out.entrant = text_at(json, "norm");
  if (out.entrant.empty()) return std::nullopt;
  out.seed = integer_at(json, "seed");
  out.dir = text_at(json, "dir");
  out.steps = integer_at(json, "steps");
  out.units = integer_at(json, (unit + "s").c_str());
  out.flops_per_unit = number_at(json, ("flops_per_" + unit).c_str());
  out.seconds = number_at(json, "seconds");
  out.diverged = json.value("diverged", Json()) == true;
  if (const auto step = optional_at(json, "diverged_at")) out.diverged_at = static_cast<int64_t>(*step);
  out.convergence = text_at(json, "convergence");
  const std::set<std::string> own = {"seed",        "steps",   unit + "s",         unit + "s_per_s",
                                     "diverged_at", "seconds", "flops_per_" + unit};
  for (const auto& [key, value] : json.items()) {
    if (own.contains(key)) continue;
    if (value.is_number() || value.is_null()) out.values.emplace_back(key, number_at(json, key.c_str()));
    if (!value.is_object()) continue;
    for (const auto& [name, part] : value.items()) {
      if (part.is_number() || part.is_null()) {
        out.values.emplace_back(key + "/" + name, number_at(value, name.c_str()));
      }
    }
  }
  return out;
}

Json pair_summary_json(const PairSummary& pair) {
  Json out = {{"a", pair.a},
              {"b", pair.b},
              {"metric", pair.metric},
              {"mean_diff", number_or_null(pair.mean_diff)},
              {"ci95", {number_or_null(pair.low), number_or_null(pair.high)}},
              {"n", pair.n}};
  if (pair.p) out["p"] = number_or_null(*pair.p);
  if (pair.p_holm) out["p_holm"] = number_or_null(*pair.p_holm);
  return out;
}

std::optional<PairSummary> pair_summary(const Json& json) {
  PairSummary out = {text_at(json, "a"), text_at(json, "b"), text_at(json, "metric")};
  if (out.a.empty() || out.b.empty() || out.metric.empty()) return std::nullopt;
  out.n = integer_at(json, "n");
  out.mean_diff = number_at(json, "mean_diff");
  const Json interval = array_at(json, "ci95");
  const bool known = interval.size() == 2 && interval[0].is_number() && interval[1].is_number();
  out.low = known ? interval[0].get<double>() : kNaN;
  out.high = known ? interval[1].get<double>() : kNaN;
  out.p = optional_at(json, "p");
  out.p_holm = optional_at(json, "p_holm");
  return out;
}

Json race_summary_json(const RaceSummary& race) {
  Json out = {{"recipe", race.recipe},
              {"workload", race.info.workload},
              {"unit", race.info.unit},
              {"metrics", metrics_json(race.info.metrics)},
              {"equal_time_s", number_or_null(race.equal_time_s)},
              {"machine", race.machine},
              {"runs", Json::array()},
              {"pairs", Json::array()}};
  if (std::isfinite(race.equal_flops)) out["equal_flops"] = race.equal_flops;
  for (const RunSummary& run : race.runs) out["runs"].push_back(run_summary_json(run, race.info.unit));
  for (const PairSummary& pair : race.pairs) out["pairs"].push_back(pair_summary_json(pair));
  put_list(out, "reach", race.reach, reach_json);
  put_list(out, "trends", race.trends, trend_json);
  put_list(out, "noise", race.noise, noise_json);
  put_list(out, "sweeps", race.sweeps, sweep_json);
  put_list(out, "tuned", race.tuned, pair_summary_json);
  return out;
}

RaceSummary race_summary(const Json& json, const RunInfo& fallback) {
  RaceSummary out;
  out.recipe = text_at(json, "recipe");
  out.info = run_info(json).value_or(fallback);
  out.equal_time_s = number_at(json, "equal_time_s");
  out.equal_flops = number_at(json, "equal_flops");
  if (json.is_object() && json.contains("machine")) out.machine = json["machine"];
  for (const Json& run : array_at(json, "runs")) {
    if (auto summary = run_summary(run, out.info.unit)) out.runs.push_back(*std::move(summary));
  }
  out.pairs = list_at(json, "pairs", pair_summary);
  out.reach = list_at(json, "reach", reach_summary);
  out.trends = list_at(json, "trends", trend_summary);
  out.noise = list_at(json, "noise", noise_summary);
  out.sweeps = list_at(json, "sweeps", sweep_summary);
  out.tuned = list_at(json, "tuned", pair_summary);
  return out;
}

double equal_time(const std::vector<RunSummary>& runs) {
  std::map<std::string, double> slowest;  // of each entrant's runs
  for (const RunSummary& run : runs) {
    if (run.diverged || !std::isfinite(run.seconds)) continue;
    double& seconds = slowest[run.entrant];
    seconds = std::max(seconds, run.seconds);
  }
  double out = kNaN;
  for (const auto& [entrant, seconds] : slowest) out = std::fmin(out, seconds);
  return out;
}

double equal_flops(const std::vector<RunSummary>& runs) {
  constexpr double kDifference = 1.01;
  double least = kNaN, most = kNaN;
  for (const RunSummary& run : runs) {
    if (run.diverged) continue;
    if (!std::isfinite(run.flops())) return kNaN;
    least = std::fmin(least, run.flops());
    most = std::fmax(most, run.flops());
  }
  return most > kDifference * least ? least : kNaN;
}

double value_at(const std::vector<std::pair<double, double>>& curve, double x) {
  if (curve.empty() || !(x >= curve.front().first)) return kNaN;
  for (size_t i = 1; i < curve.size(); ++i) {
    if (curve[i].first <= x) continue;
    const double share = (x - curve[i - 1].first) / (curve[i].first - curve[i - 1].first);
    return curve[i - 1].second + share * (curve[i].second - curve[i - 1].second);
  }
  return curve.back().second;
}

Spread spread(const std::vector<double>& values) {
  Spread out = {0, kNaN, kNaN};
  double sum = 0, squares = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    ++out.n;
    sum += value;
  }
  if (out.n > 0) out.mean = sum / out.n;
  for (const double value : values) {
    if (std::isfinite(value)) squares += (value - out.mean) * (value - out.mean);
  }
  if (out.n > 1) out.sd = std::sqrt(squares / (out.n - 1));
  return out;
}

}  // namespace seednorm::lab
