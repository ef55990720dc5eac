// The median of measurements.
#ifndef SEEDNORM_LAB_BASE_MEDIAN_H_
#define SEEDNORM_LAB_BASE_MEDIAN_H_

#include <algorithm>
#include <vector>

namespace seednorm::lab {

// For an even number of values the mean of the two in the middle; 0 for no values.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n == 0 ? 0 : (values[(n - 1) / 2] + values[n / 2]) / 2;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_MEDIAN_H_
