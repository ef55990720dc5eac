// A number that knows how far an implementation in floating point may be from it: running error analysis
// (Wilkinson; Higham, Accuracy and Stability of Numerical Algorithms, section 3.3). A formula evaluated with
// Bounded yields the tolerance of its own test.
#ifndef SEEDNORM_TESTS_SUPPORT_BOUNDED_H_
#define SEEDNORM_TESTS_SUPPORT_BOUNDED_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "seednorm/dtype.h"
#include "tests/support/numbers.h"

namespace seednorm::test {

// The arithmetic whose error is bounded. For float64 the formula is no more exact than the code under test:
// the unit counts twice, once for each.
struct Arithmetic {
  double unit = 0x1p-24;        // unit roundoff
  double underflow = 0x1p-150;  // half the smallest subnormal
  bool is_float = true;

  // Data of this type is computed with in float32, float64 in itself.
  static Arithmetic of(DType data) {
    return data == DType::kFloat64 ? Arithmetic{0x1p-52, 0x1p-1074, false} : Arithmetic{};
  }
  // A test's choice, for all Bounded numbers of the thread.
  static Arithmetic& current() {
    thread_local Arithmetic arithmetic;
    return arithmetic;
  }
};

// Roundings granted for one operation of the formula, because an implementation may associate products
// otherwise, multiply by a reciprocal, or fold a constant into a parameter first.
constexpr double kRoundingsPerOperation = 2;
// The same for exp, tanh and erf: an error of 4 ULP, each at most twice the unit roundoff.
constexpr double kRoundingsPerFunction = 8;

// Bound on the rounding of a sum of n terms in any order, in units of u. An addition that yields the partial
// sum s_k errs by at most u |s_k|, so (n - 1) sum|terms| is always one. Errors of independent sign and mean
// zero exceed lambda sqrt(sum s_k^2) = lambda sqrt(n) rms(s_k) with probability 2 exp(-lambda^2 / 2) at most
// (Higham and Mary, SIAM J. Sci. Comput. 41(5), 2019), here 3e-8. Random terms make the s_k a random walk:
// their root mean square is rarely above the total plus two standard deviations of its end, and typically a
// third of that, so that together this is 18 deviations. Wide rows of random data need it: n u lets a lost
// element pass.
inline double summation_error(int64_t n, double total, double sum_of_magnitudes, double sum_of_squares) {
  if (n < 2) return 0;
  const double count = static_cast<double>(n), lambda = 6;
  const double likely = lambda * std::sqrt(count) * (std::fabs(total) + 2 * std::sqrt(sum_of_squares));
  return std::min((count - 1) * sum_of_magnitudes, likely);
}

struct Bounded {
  double value = 0;
  double error = 0;  // |computed - value| is at most this

  Bounded() = default;
  // An input or a constant: exact, but for what rounding it to the arithmetic takes away.
  Bounded(double v) : value(v) {  // NOLINT: formulas mix numbers and constants
    if (Arithmetic::current().is_float && std::isfinite(v)) error = std::fabs(v - static_cast<float>(v));
  }
  Bounded(double v, double e) : value(v), error(e) {}

  bool is_exactly(double magnitude) const { return error == 0 && std::fabs(value) == magnitude; }
};

// `v` within `propagated` before its own rounding.
inline Bounded rounded(double v, double propagated, double roundings = kRoundingsPerOperation) {
  const Arithmetic& a = Arithmetic::current();
  return {v, propagated + roundings * a.unit * (std::fabs(v) + propagated) + a.underflow};
}

inline Bounded operator-(const Bounded& a) { return {-a.value, a.error}; }
inline Bounded operator+(const Bounded& a, const Bounded& b) {
  if (a.is_exactly(0)) return b;
  if (b.is_exactly(0)) return a;
  return rounded(a.value + b.value, a.error + b.error);
}
inline Bounded operator-(const Bounded& a, const Bounded& b) { return a + (-b); }
inline Bounded operator*(const Bounded& a, const Bounded& b) {
  const double v = a.value * b.value;
  if (a.is_exactly(1)) return {v, b.error};
  if (b.is_exactly(1)) return {v, a.error};
  if (a.is_exactly(0) || b.is_exactly(0)) return {v, 0};
  return rounded(v, std::fabs(a.value) * b.error + std::fabs(b.value) * a.error + a.error * b.error);
}
inline Bounded operator/(const Bounded& a, const Bounded& b) {
  const double quotient = a.value / b.value;
  const double least = std::fabs(b.value) - b.error;
  if (!(least > 0)) return {quotient, std::numeric_limits<double>::infinity()};
  return rounded(quotient, (a.error + std::fabs(quotient) * b.error) / least);
}

// A growing function, over the whole interval of its argument.
template <class F>
Bounded growing(F f, const Bounded& a, double roundings) {
  const double v = f(a.value);
  return rounded(v, std::max(f(a.value + a.error) - v, v - f(a.value - a.error)), roundings);
}

inline Bounded sqrt(const Bounded& a) {
  return growing([](double v) { return std::sqrt(std::max(v, 0.0)); }, a, kRoundingsPerOperation);
}
inline Bounded exp(const Bounded& a) {
  return growing([](double v) { return std::exp(v); }, a, kRoundingsPerFunction);
}
inline Bounded tanh(const Bounded& a) {
  return growing([](double v) { return std::tanh(v); }, a, kRoundingsPerFunction);
}
inline Bounded erf(const Bounded& a) {
  return growing([](double v) { return std::erf(v); }, a, kRoundingsPerFunction);
}
inline Bounded abs(const Bounded& a) { return {std::fabs(a.value), a.error}; }
inline Bounded max(const Bounded& a, const Bounded& b) {
  return {max(a.value, b.value), std::max(a.error, b.error)};
}
inline Bounded hardtanh(const Bounded& a) {
  return growing([](double v) { return hardtanh(v); }, a, 0);
}
// Either slope is right where the argument cannot be told from the corner.
inline Bounded hardtanh_slope(const Bounded& a) {
  return {hardtanh_slope(a.value), std::fabs(std::fabs(a.value) - 1) <= a.error ? 1.0 : 0.0};
}
inline double value_of(const Bounded& a) { return a.value; }

// The order of summation is the implementation's: its rounding is accounted for once, from the size of the
// terms.
template <>
class Sum<Bounded> {
 public:
  void add(const Bounded& term) {
    const double magnitude = std::fabs(term.value) + term.error;
    merge({term.value, term.error, magnitude, magnitude * magnitude, 1});
  }
  void merge(const Sum& other) {
    total_ += other.total_;
    error_ += other.error_;
    magnitudes_ += other.magnitudes_;
    squares_ += other.squares_;
    count_ += other.count_;
  }
  // The same terms `times` over.
  void repeat(int64_t times) {
    const double factor = static_cast<double>(times);
    *this = {total_ * factor, error_ * factor, magnitudes_ * factor, squares_ * factor, count_ * times};
  }
  int64_t count() const { return count_; }
  // The sum, or that of this many sums of equal parts, added with no error to speak of.
  Bounded total(int64_t parts = 1) const {
    const double share = 1 / static_cast<double>(parts);
    const double rounding =
        summation_error((count_ + parts - 1) / parts, total_ * share, magnitudes_ * share, squares_ * share);
    return {total_, error_ + Arithmetic::current().unit * rounding / share};
  }

  Sum() = default;

 private:
  Sum(double total, double error, double magnitudes, double squares, int64_t count)
      : total_(total), error_(error), magnitudes_(magnitudes), squares_(squares), count_(count) {}

  double total_ = 0, error_ = 0, magnitudes_ = 0, squares_ = 0;
  int64_t count_ = 0;
};

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_BOUNDED_H_
