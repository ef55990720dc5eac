#include "lab/race/paired.h"

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace seednorm::lab {

double student_t_975(int df) {
  if (df < 1) throw std::invalid_argument("student_t_975: expected 1 or more degrees of freedom");
  constexpr std::array kTable = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646,
                                 2.3060,  2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
                                 2.1314,  2.1199, 2.1098, 2.1009, 2.0930, 2.0860};
  if (df <= static_cast<int>(kTable.size())) return kTable[static_cast<size_t>(df - 1)];
  // Abramowitz and Stegun 26.7.5: t from the normal quantile x; beyond 20 degrees of freedom right to 5
  // digits.
  const double x = 1.959964, n = df;
  const double x3 = x * x * x, x5 = x3 * x * x, x7 = x5 * x * x;
  return x + (x3 + x) / (4 * n) + (5 * x5 + 16 * x3 + 3 * x) / (96 * n * n) +
         (3 * x7 + 19 * x5 + 17 * x3 - 15 * x) / (384 * n * n * n);
}

PairedDifference paired_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) throw std::invalid_argument("paired_difference: expected as many of both");
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  PairedDifference out = {static_cast<int>(a.size()), kNaN, kNaN, kNaN};
  if (out.n == 0) return out;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += b[i] - a[i];
  out.mean = sum / out.n;
  if (out.n < 2) return out;
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += std::pow(b[i] - a[i] - out.mean, 2);
  const double half = student_t_975(out.n - 1) * std::sqrt(squares / (out.n - 1) / out.n);
  out.low = out.mean - half;
  out.high = out.mean + half;
  return out;
}

}  // namespace seednorm::lab
