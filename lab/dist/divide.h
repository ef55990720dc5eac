// Measurements that ranks divide among them.
#ifndef SEEDNORM_LAB_DIST_DIVIDE_H_
#define SEEDNORM_LAB_DIST_DIVIDE_H_

#include <functional>

#include "lab/dist/group.h"

namespace seednorm::lab {

// Calls part(i, out) for each i below count, on one of the ranks, to write `width` numbers. -> [count, width]
// float64 on every rank. An error on one rank is one on all.
at::Tensor divided(const Group& group, int64_t count, int64_t width,
                   const std::function<void(int64_t i, double* out)>& part);

// value(0) + value(1) + ... + value(count - 1), added in this order. Each rank computes some of the values.
double sum_of_parts(const Group& group, int64_t count, const std::function<double(int64_t)>& value);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_DIVIDE_H_
