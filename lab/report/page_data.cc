#include "lab/report/page_data.h"

#include <algorithm>
#include <cmath>

#include "lab/report/compatibility.h"
#include "lab/report/fields.h"
#include "lab/report/headline.h"

namespace seednorm::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxPoints = 2000;  // of a curve: more than a screen has columns
constexpr size_t kMaxNormLines = 60, kMaxSamples = 20;
constexpr size_t kMaxImageBytes = size_t{32} << 20;  // of all samples of a page, in base64

std::vector<TrainPoint> thinned(const std::vector<TrainPoint>& points) {
  if (points.size() <= kMaxPoints) return points;
  std::vector<TrainPoint> out = {points.front()};
  const size_t stretches = kMaxPoints / 2 - 1;
  for (size_t k = 0; k < stretches; ++k) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(k * points.size() / stretches);
    const auto end = points.begin() + static_cast<std::ptrdiff_t>((k + 1) * points.size() / stretches);
    auto [low, high] = std::minmax_element(
        begin, end, [](const TrainPoint& a, const TrainPoint& b) { return a.loss < b.loss; });
    if (low > high) std::swap(low, high);
    out.push_back(*low);
    if (low != high) out.push_back(*high);
  }
  out.push_back(points.back());
  return out;
}

Json columns(const std::vector<TrainPoint>& points) {
  Json out;
  const auto add = [&](const char* name, double TrainPoint::*member, int digits) {
    Json& column = out[name] = Json::array();
    for (const TrainPoint& p : points) column.push_back(rounded(p.*member, digits));
  };
  add("step", &TrainPoint::step, 15);
  add("units", &TrainPoint::units, 15);
  add("seconds", &TrainPoint::seconds, 6);
  add("loss", &TrainPoint::loss, 6);
  add("ema", &TrainPoint::ema, 7);
  add("grad_norm", &TrainPoint::grad_norm, 5);
  return out;
}

Json values_json(const Named<double>& values, int digits) {
  Json out = Json::object();
  for (const auto& [name, value] : values) out[name] = rounded(value, digits);
  return out;
}

Json measured_json(const std::vector<Measured>& measured) {
  Json out = Json::array();
  for (const Measured& m : measured) {
    out.push_back({{"step", rounded(m.step, 15)},
                   {"units", rounded(m.units, 15)},
                   {"seconds", rounded(m.seconds)},
                   {"values", values_json(m.values, 7)}});
  }
  return out;
}

// At most `count` evenly spaced elements of the list, including the last one.
Json evenly(const Json& list, size_t count) {
  if (list.size() <= count) return list;
  Json out = Json::array();
  for (size_t k = 1; k <= count; ++k) out.push_back(list[k * list.size() / count - 1]);
  return out;
}

size_t image_bytes(const Json& samples) {
  size_t out = 0;
  for (const Json& sample : samples) {
    for (const Json& item : sample["items"]) out += text_at(item, "image").size();
  }
  return out;
}

// As many samples as are useful, with at most `bytes` of images.
Json samples_json(const Json& samples, size_t bytes) {
  Json out = evenly(samples, kMaxSamples);
  while (image_bytes(out) > bytes) out = evenly(out, out.size() / 2);
  return out;
}

Json metric_json(const MetricInfo& metric, const RunInfo& info) {
  std::string chart = chart_of(metric.name, info);
  if (chart.empty()) chart = metric.name.substr(0, metric.name.find('/'));
  return {{"name", metric.name},
          {"title", metric.title},
          {"unit", metric.unit},
          {"lower_is_better", metric.lower_is_better},
          {"chart", chart}};
}

bool has_value(const ReportGroup& group, const std::string& metric) {
  for (const ReportRun& run : group.runs) {
    for (const auto& [name, value] : run.summary.values) {
      if (name == metric) return true;
    }
  }
  return false;
}

// The lists that the race has, each under the name that it has in results.json.
void put_statistics(Json& out, const RaceSummary& race) {
  const Json all = race_summary_json(race);
  for (const char* key : {"reach", "trends", "noise", "sweeps", "tuned"}) {
    if (all.contains(key)) out[key] = all[key];
  }
}

Json group_json(const ReportGroup& group) {
  const RunInfo& info = group.race.info;
  Json metrics = Json::array(), pairs = Json::array();
  for (const MetricInfo& metric : info.metrics) {
    if (has_value(group, metric.name)) metrics.push_back(metric_json(metric, info));
    for (const char* suffix : {kEqualTime, kEqualFlops}) {
      const std::string later = metric.name + suffix;
      const bool is_listed = std::any_of(info.metrics.begin(), info.metrics.end(),
                                         [&](const MetricInfo& m) { return m.name == later; });
      if (!is_listed && has_value(group, later)) {
        metrics.push_back(metric_json(find_metric(info.metrics, later).value(), info));
      }
    }
  }
  for (const PairSummary& pair : group.race.pairs) pairs.push_back(pair_summary_json(pair));
  Json out = {{"name", group.name},
              {"kind", group.is_race ? "race" : "run"},
              {"dir", group.dir},
              {"recipe", group.race.recipe},
              {"seeds", group.seeds},
              {"entrants", group.entrants},
              {"unit", info.unit},
              {"equal_time_s", rounded(group.race.equal_time_s)},
              {"metrics", std::move(metrics)},
              {"pairs", std::move(pairs)},
              {"config", group.config}};
  put_statistics(out, group.race);
  if (std::isfinite(group.race.equal_flops)) out["equal_flops"] = group.race.equal_flops;
  if (group.race.machine.is_object()) out["machine"] = group.race.machine;
  // All runs of a race see the same pictures.
  for (const ReportRun& run : group.runs) {
    if (!run.first_batch.empty() && !out.contains("first_batch")) out["first_batch"] = run.first_batch;
  }
  if (!group.command.empty()) out["command"] = group.command;
  if (!group.interval_command.empty()) out["interval_command"] = group.interval_command;
  return out;
}

Json run_json(const ReportRun& run, size_t group, size_t max_image_bytes) {
  const RunSummary& s = run.summary;
  const char* state = run.state == RunState::kFinished   ? "finished"
                      : run.state == RunState::kDiverged ? "diverged"
                                                         : "unfinished";
  Json out = {{"group", group},
              {"entrant", s.entrant},
              {"seed", s.seed},
              {"state", state},
              {"steps", s.steps},
              {"units", s.units},
              {"seconds", rounded(s.seconds, 10)},
              {"units_per_s", rounded(s.units_per_s())},
              // The measurements of a diverged run are not results.
              {"values", s.diverged ? Json::object() : values_json(s.values, 10)},
              {"config", run.config},
              {"train", columns(thinned(run.curves.train))},
              {"measured", measured_json(run.curves.measured)},
              {"norms", evenly(run.curves.norms, kMaxNormLines)},
              {"samples", samples_json(run.curves.samples, max_image_bytes)}};
  if (s.diverged_at) out["diverged_at"] = *s.diverged_at;
  if (!s.convergence.empty()) out["convergence"] = s.convergence;
  if (run.curves.classes.is_object() && !s.diverged) out["classes"] = run.curves.classes;
  return out;
}

}  // namespace

Json page_data(const Report& report) {
  const Headline headline = headline_of(report);
  Json groups = Json::array(), runs = Json::array();
  size_t num_runs = 1;
  for (const ReportGroup& group : report.groups) num_runs += group.runs.size();
  for (const ReportGroup& group : report.groups) {
    for (const ReportRun& run : group.runs) {
      runs.push_back(run_json(run, groups.size(), kMaxImageBytes / num_runs));
    }
    groups.push_back(group_json(group));
  }
  return {{"title", headline.title}, {"answer", headline.answer},         {"groups", std::move(groups)},
          {"runs", std::move(runs)}, {"evaluations", report.evaluations}, {"notes", report.notes}};
}

}  // namespace seednorm::lab
