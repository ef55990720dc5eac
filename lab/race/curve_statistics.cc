#include "lab/race/curve_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace seednorm::lab {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kParts = 20;                // in which the mean loss of a run is taken
constexpr double kLostShare = 0.5;           // of the best gain: beyond it a run blew up
constexpr double kLeastGain = 0.05;          // of the first loss: below it a run stagnated
constexpr double kLeastShareOfOthers = 0.5;  // of the best run's gain: the same

// The mean loss of each twentieth of the steps; of each step in runs with fewer.
std::vector<double> mean_losses(const std::vector<TrainPoint>& points) {
  const size_t parts = std::min(kParts, points.size());
  std::vector<double> out;
  for (size_t k = 0; k < parts; ++k) {
    const size_t begin = k * points.size() / parts, end = (k + 1) * points.size() / parts;
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += points[i].loss;
    out.push_back(sum / static_cast<double>(end - begin));
  }
  return out;
}

// Whether all steps of some part lost more than kLostShare of what the best part before it had gained.
bool fell_back(const std::vector<TrainPoint>& points) {
  const size_t parts = std::min(kParts, points.size());
  const std::vector<double> means = mean_losses(points);
  const double first = points.front().loss;
  double best = first;
  for (size_t k = 0; k < parts; ++k) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(k * points.size() / parts),
               end = points.begin() + static_cast<std::ptrdiff_t>((k + 1) * points.size() / parts);
    const double least = std::min_element(begin, end, [](const TrainPoint& a, const TrainPoint& b) {
                           return a.loss < b.loss;
                         })->loss;
    if (least - best > kLostShare * (first - best) && first - best > kLeastGain * std::fabs(first))
      return true;
    best = std::min(best, means[k]);
  }
  return false;
}

// Trained weights are measured before the first step.
bool begins_trained(const Curves& run) { return !run.measured.empty() && run.measured.front().step == 0; }

}  // namespace

Curve curve_of(const std::vector<Measured>& measured, const std::string& metric, Axis axis) {
  Curve out;
  for (const Measured& m : measured) {
    const double x = axis == Axis::kUnits ? m.units : m.seconds;
    for (const auto& [name, value] : m.values) {
      if (name == metric && std::isfinite(x) && std::isfinite(value)) out.emplace_back(x, value);
    }
  }
  return out;
}

double first_reached(const Curve& curve, double value, bool lower_is_better) {
  const auto is_there = [&](double y) { return lower_is_better ? y <= value : y >= value; };
  for (size_t i = 0; i < curve.size(); ++i) {
    if (!is_there(curve[i].second)) continue;
    if (i == 0) return curve[0].first;
    const auto [x0, y0] = curve[i - 1];
    const auto [x1, y1] = curve[i];
    return x0 + (value - y0) / (y1 - y0) * (x1 - x0);
  }
  return kNaN;
}

double reach_ratio(const Curve& a, const Curve& b, bool lower_is_better) {
  if (a.size() < 2 || b.size() < 2) return kNaN;
  const double of_a = a.back().second, of_b = b.back().second;
  const double target = lower_is_better ? std::max(of_a, of_b) : std::min(of_a, of_b);
  const double at_a = first_reached(a, target, lower_is_better),
               at_b = first_reached(b, target, lower_is_better);
  return at_a > 0 && at_b > 0 ? at_b / at_a : kNaN;
}

MeanEstimate mean_ratio(const std::vector<double>& ratios) {
  std::vector<double> logs;
  for (const double ratio : ratios) logs.push_back(std::log(ratio));
  MeanEstimate out = mean_estimate(logs);
  for (double* value : {&out.mean, &out.low, &out.high}) *value = std::exp(*value);
  return out;
}

double trend(const Curve& a, const Curve& b) {
  if (a.empty() || b.empty()) return kNaN;
  const double from = std::min(a.back().first, b.back().first) / 4;
  std::vector<double> xs, ys;
  for (const auto& [x, y] : b) {
    const auto same = std::find_if(a.begin(), a.end(), [&, at = x](const auto& p) { return p.first == at; });
    if (same == a.end() || !(x >= from) || !(x > 0)) continue;
    xs.push_back(std::log2(x));
    ys.push_back(y - same->second);
  }
  if (xs.size() < 3) return kNaN;
  const double mean_x = mean_estimate(xs).mean, mean_y = mean_estimate(ys).mean;
  double products = 0, squares = 0;
  for (size_t i = 0; i < xs.size(); ++i) {
    products += (xs[i] - mean_x) * (ys[i] - mean_y);
    squares += (xs[i] - mean_x) * (xs[i] - mean_x);
  }
  return products / squares;
}

double gain_of(const Curves& run) {
  if (run.train.empty()) return kNaN;
  return run.train.front().loss - mean_losses(run.train).back();
}

Convergence convergence_of(const Curves& run, std::optional<double> best_gain) {
  if (run.diverged_at) return Convergence::kDiverged;
  if (run.train.empty()) return Convergence::kConverged;  // nothing speaks against it
  const double first = run.train.front().loss, gain = gain_of(run);
  const std::vector<double> losses = mean_losses(run.train);
  const double best = first - *std::min_element(losses.begin(), losses.end());
  if (begins_trained(run)) {
    return gain < -kLeastGain * std::fabs(first) ? Convergence::kBlewUp : Convergence::kConverged;
  }
  if (best > 0 && best - gain > kLostShare * best) return Convergence::kBlewUp;
  if (!(gain >= kLeastGain * std::fabs(first))) return Convergence::kStagnated;
  if (best_gain && !(gain >= kLeastShareOfOthers * *best_gain)) return Convergence::kStagnated;
  return fell_back(run.train) ? Convergence::kRecovered : Convergence::kConverged;
}

bool failed_to_converge(const std::string& convergence) {
  return convergence != name_of(Convergence::kConverged) && convergence != name_of(Convergence::kRecovered);
}

std::string name_of(Convergence convergence) {
  switch (convergence) {
    case Convergence::kDiverged:
      return "diverged";
    case Convergence::kBlewUp:
      return "blew_up";
    case Convergence::kStagnated:
      return "stagnated";
    case Convergence::kRecovered:
      return "recovered";
    case Convergence::kConverged:
      break;
  }
  return "converged";
}

}  // namespace seednorm::lab
