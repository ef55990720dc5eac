#include "lab/race/paired.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace seednorm::lab {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kLevel = 0.05;

struct Moments {
  double n = 0, mean = 0, variance = 0;  // variance: unbiased; NaN with fewer than two values
};

Moments moments(const std::vector<double>& values) {
  Moments out = {static_cast<double>(values.size()), kNaN, kNaN};
  if (values.empty()) return out;
  out.mean = std::accumulate(values.begin(), values.end(), 0.0) / out.n;
  if (values.size() < 2) return out;
  double squares = 0;
  for (const double v : values) squares += (v - out.mean) * (v - out.mean);
  out.variance = squares / (out.n - 1);
  return out;
}

// `error` is the standard error of the mean.
MeanEstimate estimate(int n, double mean, double error, double df) {
  if (!std::isfinite(error) || !(df > 0)) return {n, mean, kNaN, kNaN, kNaN};
  const double half = student_t_of_p(kLevel, df) * error;
  // Without any spread, which equal results give, the mean is exact.
  const double p = error > 0 ? student_t_p(mean / error, df) : mean == 0 ? 1.0 : 0.0;
  return {n, mean, mean - half, mean + half, p};
}

// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto guarded = [](double value) { return std::fabs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / guarded(1 - (a + b) * x / (a + 1)), out = d;
  for (int k = 1; k <= 10000; ++k) {
    const double even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
    const double odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1));
    double factor = 1;
    for (const double term : {even, odd}) {
      d = 1 / guarded(1 + term * d);
      c = guarded(1 + term / c);
      factor = c * d;
      out *= factor;
    }
    if (std::fabs(factor - 1) < 1e-15) break;
  }
  return out;
}

// I_x(a, b). The fraction converges fast for x < (a + 1) / (a + b + 2); the symmetry serves the rest.
double incomplete_beta(double a, double b, double x) {
  if (!(x > 0)) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  const double log_front =
      std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  return std::exp(log_front) * beta_fraction(a, b, x) / a;
}

}  // namespace

double student_t_p(double t, double df) {
  if (!(df > 0)) throw std::invalid_argument("student_t_p: expected a positive number of degrees of freedom");
  if (std::isnan(t)) return kNaN;
  if (std::isinf(t)) return 0;
  return incomplete_beta(df / 2, 0.5, df / (df + t * t));  // Abramowitz and Stegun 26.7.1
}

double student_t_of_p(double p, double df) {
  if (!(p > 0 && p < 1)) throw std::invalid_argument("student_t_of_p: expected 0 < p < 1");
  double low = 0, high = 1;
  while (student_t_p(high, df) > p) high *= 2;
  for (int k = 0; k < 100 && high - low > 1e-14 * high; ++k) {
    const double middle = (low + high) / 2;
    (student_t_p(middle, df) > p ? low : high) = middle;
  }
  return (low + high) / 2;
}

MeanEstimate mean_estimate(const std::vector<double>& values) {
  const Moments m = moments(values);
  return estimate(static_cast<int>(values.size()), m.mean, std::sqrt(m.variance / m.n), m.n - 1);
}

MeanEstimate paired_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) throw std::invalid_argument("paired_difference: expected as many of both");
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(b[i] - a[i]);
  return mean_estimate(differences);
}

MeanEstimate independent_difference(const std::vector<double>& a, const std::vector<double>& b) {
  const Moments of_a = moments(a), of_b = moments(b);
  const double va = of_a.variance / of_a.n, vb = of_b.variance / of_b.n;
  // Welch and Satterthwaite's degrees of freedom. Without any spread every number of them gives the same.
  const double df = va + vb > 0 ? (va + vb) * (va + vb) / (va * va / (of_a.n - 1) + vb * vb / (of_b.n - 1))
                                : of_a.n + of_b.n - 2;
  return estimate(static_cast<int>(std::min(a.size(), b.size())), of_b.mean - of_a.mean, std::sqrt(va + vb),
                  df);
}

double noise_floor(const std::vector<double>& differences) {
  if (differences.empty()) return kNaN;
  const double n = static_cast<double>(differences.size());
  double squares = 0;
  for (const double d : differences) squares += d * d;
  return student_t_of_p(kLevel, n) * std::sqrt(squares / n / n);
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (!std::isnan(p[i])) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t x, size_t y) { return p[x] < p[y]; });
  std::vector<double> out(p.size(), kNaN);
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, static_cast<double>(order.size() - rank) * p[order[rank]]);
    out[order[rank]] = std::min(1.0, largest);
  }
  return out;
}

}  // namespace seednorm::lab
