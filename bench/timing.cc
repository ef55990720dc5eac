#include "bench/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace seednorm::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double time_us(const std::function<void()>& call) {
  const Clock::time_point start = Clock::now();
  call();
  return seconds_since(start) * 1e6;
}

}  // namespace

int measure(const Protocol& protocol, std::vector<Variant>* variants) {
  const Clock::time_point start = Clock::now();
  std::vector<double> calls(protocol.calls);
  int round = 0;
  while (round < protocol.rounds ||
         (round < protocol.max_rounds && seconds_since(start) < protocol.seconds)) {
    for (size_t i = 0; i < variants->size(); ++i) {
      Variant& variant = (*variants)[(i + round) % variants->size()];
      for (int w = 0; w < protocol.warmups; ++w) variant.call();
      for (double& us : calls) us = time_us(variant.call);
      variant.us.push_back(median(calls));
    }
    ++round;
  }
  return round;
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return std::nan("");
  const auto nth = values.begin() + std::lround(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

double median(const std::vector<double>& values) { return quantile(values, 0.5); }

double median_ratio(const Variant& a, const Variant& b) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(a.us.size(), b.us.size()); ++i) ratios.push_back(a.us[i] / b.us[i]);
  return median(ratios);
}

}  // namespace seednorm::bench
