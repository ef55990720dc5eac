// Elementary functions of double under one name with those of the other number types that a formula is
// evaluated with (Bounded, Var), and what these share.
#ifndef SEEDNORM_TESTS_SUPPORT_NUMBERS_H_
#define SEEDNORM_TESTS_SUPPORT_NUMBERS_H_

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace seednorm::test {

inline double sqrt(double v) { return std::sqrt(v); }
inline double exp(double v) { return std::exp(v); }
inline double tanh(double v) { return std::tanh(v); }
inline double erf(double v) { return std::erf(v); }
inline double abs(double v) { return std::fabs(v); }
inline double hardtanh(double v) { return v < -1 ? -1 : v > 1 ? 1 : v; }  // NaN stays NaN, as in max
inline double max(double a, double b) { return a < b ? b : a; }

// The number as the branches of a formula see it.
inline double value_of(double v) { return v; }

// Derivatives of the functions above that are not arithmetic. sech^2 as 1 - tanh^2 would lose all digits
// near saturation.
template <class N>
N tanh_slope(const N& z) {
  const N e = exp(-2.0 * abs(z));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}
template <class N>
N erf_slope(const N& z) {
  return 2.0 * std::numbers::inv_sqrtpi * exp(-(z * z));
}
inline double hardtanh_slope(double v) { return std::fabs(v) < 1 ? 1 : 0; }

// A sum over a row or over rows, whose terms may come in several parts.
template <class N>
class Sum {
 public:
  void add(const N& term) {
    total_ = total_ + term;
    ++count_;
  }
  void merge(const Sum& other) {
    total_ = total_ + other.total_;
    count_ += other.count_;
  }
  int64_t count() const { return count_; }
  N total() const { return total_; }

 private:
  N total_ = 0;
  int64_t count_ = 0;
};

template <class N>
N sum(const std::vector<N>& terms) {
  Sum<N> result;
  for (const N& term : terms) result.add(term);
  return result.total();
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_NUMBERS_H_
