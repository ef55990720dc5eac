// Statistics over the seeds of a race: paired differences, Student's t, Holm's correction.
#ifndef SEEDNORM_LAB_RACE_PAIRED_H_
#define SEEDNORM_LAB_RACE_PAIRED_H_

#include <vector>

namespace seednorm::lab {

// The mean of a sample, its 95% interval by Student's t, mean +- t_{0.975, n - 1} s / sqrt(n), and the
// two-sided p value of the hypothesis that the mean is 0. With fewer than two values there is neither: low,
// high and p are NaN.
struct MeanEstimate {
  int n = 0;
  double mean = 0, low = 0, high = 0, p = 0;
};
MeanEstimate mean_estimate(const std::vector<double>& values);

// The estimate of the mean of b - a over pairs.
MeanEstimate paired_difference(const std::vector<double>& a, const std::vector<double>& b);

// The estimate of the mean of b minus that of a for independent samples of possibly different variances, by
// Welch's t. With fewer than two values on a side there is only the difference.
MeanEstimate independent_difference(const std::vector<double>& a, const std::vector<double>& b);

// The value that the absolute difference of two equal entrants exceeds with a probability of 5%, from their
// n paired differences, whose mean is known to be 0: t_{0.975, n} sqrt(mean of squares / n). NaN for n = 0.
double noise_floor(const std::vector<double>& differences);

// P(|T| >= |t|) for Student's t with df >= 1 degrees of freedom; df need not be a whole number. The absolute
// error is below 1e-10.
double student_t_p(double t, double df);
// The t whose student_t_p is p, for 0 < p < 1.
double student_t_of_p(double p, double df);

// Holm's step-down correction: the adjusted value of each p, in the order of `p`. Rejecting what is below
// 0.05 keeps the probability of any false rejection below 0.05, however the tests depend on each other. NaN
// stays NaN and does not count as a test.
std::vector<double> holm(const std::vector<double>& p);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_PAIRED_H_
