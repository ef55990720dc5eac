// Differences between two norms over seeds, with a confidence interval.
#ifndef SEEDNORM_LAB_RACE_PAIRED_H_
#define SEEDNORM_LAB_RACE_PAIRED_H_

#include <vector>

namespace seednorm::lab {

// Mean of b - a over pairs, and its 95% interval by Student's t: mean +- t_{0.975, n - 1} s / sqrt(n).
// With fewer than two pairs there is no interval: low and high are NaN.
struct PairedDifference {
  int n = 0;
  double mean = 0, low = 0, high = 0;
};
PairedDifference paired_difference(const std::vector<double>& a, const std::vector<double>& b);

// t_{0.975, df}, df >= 1, to 4 digits.
double student_t_975(int df);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_RACE_PAIRED_H_
