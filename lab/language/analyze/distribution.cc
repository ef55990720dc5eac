#include "lab/language/analyze/distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace seednorm::lab {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double squares_around(std::span<const double> values, double center) {
  double sum = 0;
  for (const double v : values) sum += (v - center) * (v - center);
  return sum;
}

double quantile(std::span<const double> sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Distribution distribution_of(std::vector<double> values) {
  Distribution out = {static_cast<int64_t>(values.size()), kNaN, kNaN, kNaN, kNaN, kNaN};
  if (values.empty()) return out;
  out.mean = mean_of(values);
  if (std::isnan(out.mean)) return out;  // NaN has no place in an order
  out.sd = std::sqrt(squares_around(values, out.mean) / static_cast<double>(values.size()));
  std::sort(values.begin(), values.end());
  out.q01 = quantile(values, 0.01);
  out.median = quantile(values, 0.5);
  out.q99 = quantile(values, 0.99);
  return out;
}

GroupedDistribution grouped(std::span<const double> values, std::span<const int64_t> groups, int64_t members,
                            int64_t num_groups) {
  if (members == 0)
    return {std::vector<Distribution>(static_cast<size_t>(num_groups), distribution_of({})), kNaN};
  const size_t each = values.size() / static_cast<size_t>(members),
               of_each = groups.size() / static_cast<size_t>(members);
  std::vector<std::vector<double>> parts(static_cast<size_t>(num_groups));
  for (size_t m = 0; m < static_cast<size_t>(members); ++m) {
    const std::span<const double> mine = values.subspan(m * each, each);
    for (const int64_t g : groups.subspan(m * of_each, of_each)) {
      parts[static_cast<size_t>(g)].insert(parts[static_cast<size_t>(g)].end(), mine.begin(), mine.end());
    }
  }
  // Every member has as many groups as the others, so that the mean over pairs is that over values.
  const double mean = mean_of(values);
  GroupedDistribution out;
  double between = 0;
  for (std::vector<double>& part : parts) {
    out.groups.push_back(distribution_of(std::move(part)));
    const Distribution& group = out.groups.back();
    if (group.count > 0) between += static_cast<double>(group.count) * std::pow(group.mean - mean, 2);
  }
  const double all = static_cast<double>(of_each) * squares_around(values, mean);
  out.explained = all > 0 ? between / all : kNaN;
  return out;
}

}  // namespace seednorm::lab
