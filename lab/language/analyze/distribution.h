// What is known of a sample of numbers: its moments, its quantiles, and how much of its variance groups
// explain. Without libtorch.
#ifndef SEEDNORM_LAB_LANGUAGE_ANALYZE_DISTRIBUTION_H_
#define SEEDNORM_LAB_LANGUAGE_ANALYZE_DISTRIBUTION_H_

#include <cstdint>
#include <span>
#include <vector>

namespace seednorm::lab {

// Of an empty sample everything but the count is NaN, as everything is of one with a NaN.
struct Distribution {
  int64_t count = 0;
  double mean = 0, sd = 0;              // sd divides by the count
  double q01 = 0, median = 0, q99 = 0;  // interpolated linearly between neighbours in the sorted sample
};
Distribution distribution_of(std::vector<double> values);

struct GroupedDistribution {
  std::vector<Distribution> groups;
  // Eta squared: the variance of the groups' means as a share of the whole variance, over all pairs of a
  // value and one of its groups. 0: groups have the same mean; 1: values differ between groups only. NaN
  // without variance.
  double explained = 0;
};
// `values` has the same number of values for each member, and `groups` the same number of groups from 0 to
// num_groups - 1: a member (a token) may belong to several groups (experts).
GroupedDistribution grouped(std::span<const double> values, std::span<const int64_t> groups, int64_t members,
                            int64_t num_groups);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_ANALYZE_DISTRIBUTION_H_
