#include "lab/report/race_statistics.h"

#include <cmath>
#include <limits>

#include "lab/report/fields.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

int64_t count_at(const Json& json, const char* key) {
  const double value = number_at(json, key);
  return value >= 0 && value < 1e15 ? static_cast<int64_t>(value) : 0;
}

void put_interval(Json& out, const char* key, const Interval& interval) {
  out[key] = number_or_null(interval.value);
  out["ci95"] = {number_or_null(interval.low), number_or_null(interval.high)};
  out["n"] = interval.n;
}

Interval interval_at(const Json& json, const char* key) {
  const Json ends = array_at(json, "ci95");
  const bool known = ends.size() == 2 && ends[0].is_number() && ends[1].is_number();
  return {count_at(json, "n"), number_at(json, key), known ? ends[0].get<double>() : kNaN,
          known ? ends[1].get<double>() : kNaN};
}

Json numbers_json(const std::vector<double>& values) {
  Json out = Json::array();
  for (const double v : values) out.push_back(number_or_null(v));
  return out;
}

std::vector<double> numbers_at(const Json& json, const char* key) {
  std::vector<double> out;
  for (const Json& v : array_at(json, key)) out.push_back(v.is_number() ? v.get<double>() : kNaN);
  return out;
}

// The members that name the pair and the metric; nothing without one of them.
template <class T>
std::optional<T> named(const Json& json) {
  T out;
  out.a = text_at(json, "a");
  out.b = text_at(json, "b");
  out.metric = text_at(json, "metric");
  if (out.a.empty() || out.b.empty() || out.metric.empty()) return std::nullopt;
  return out;
}

}  // namespace

Json reach_json(const ReachSummary& reach) {
  Json out = {{"a", reach.a}, {"b", reach.b}, {"metric", reach.metric}, {"of", reach.of}};
  put_interval(out, "ratio", reach.ratio);
  return out;
}

std::optional<ReachSummary> reach_summary(const Json& json) {
  auto out = named<ReachSummary>(json);
  if (!out) return out;
  out->of = text_at(json, "of");
  out->ratio = interval_at(json, "ratio");
  return out;
}

Json trend_json(const TrendSummary& trend) {
  Json out = {{"a", trend.a}, {"b", trend.b}, {"metric", trend.metric}};
  put_interval(out, "slope", trend.slope);
  return out;
}

std::optional<TrendSummary> trend_summary(const Json& json) {
  auto out = named<TrendSummary>(json);
  if (out) out->slope = interval_at(json, "slope");
  return out;
}

Json noise_json(const NoiseSummary& noise) {
  return {{"a", noise.a},
          {"b", noise.b},
          {"metric", noise.metric},
          {"floor", number_or_null(noise.floor)},
          {"n", noise.n}};
}

std::optional<NoiseSummary> noise_summary(const Json& json) {
  auto out = named<NoiseSummary>(json);
  if (!out) return out;
  out->floor = number_at(json, "floor");
  out->n = count_at(json, "n");
  return out;
}

Json sweep_json(const SweepSummary& sweep) {
  return {{"entrant", sweep.entrant},
          {"metric", sweep.metric},
          {"lrs", numbers_json(sweep.lrs)},
          {"means", numbers_json(sweep.means)},
          {"best_lr", number_or_null(sweep.best_lr)},
          {"best", number_or_null(sweep.best)},
          {"at_edge", sweep.at_edge}};
}

std::optional<SweepSummary> sweep_summary(const Json& json) {
  SweepSummary out;
  out.entrant = text_at(json, "entrant");
  out.metric = text_at(json, "metric");
  out.lrs = numbers_at(json, "lrs");
  out.means = numbers_at(json, "means");
  if (out.entrant.empty() || out.metric.empty() || out.lrs.size() != out.means.size()) return std::nullopt;
  out.best_lr = number_at(json, "best_lr");
  out.best = number_at(json, "best");
  out.at_edge = json.value("at_edge", Json()) == true;
  return out;
}

}  // namespace seednorm::lab
