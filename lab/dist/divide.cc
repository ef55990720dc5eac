#include "lab/dist/divide.h"

#include <ATen/Functions.h>

#include <algorithm>

namespace seednorm::lab {

at::Tensor divided(const Group& group, int64_t count, int64_t width,
                   const std::function<void(int64_t i, double* out)>& part) {
  const int64_t ranks = group.size(), longest = (count + ranks - 1) / ranks;
  const int64_t first = std::min(count, group.rank() * longest), last = std::min(count, first + longest);
  const at::Tensor mine = at::zeros({longest, width}, at::kDouble);
  group.together([&] {
    for (int64_t i = first; i < last; ++i) part(i, mine.data_ptr<double>() + (i - first) * width);
  });
  return group.gather(mine).view({ranks * longest, width}).narrow(0, 0, count);
}

double sum_of_parts(const Group& group, int64_t count, const std::function<double(int64_t)>& value) {
  const at::Tensor all = divided(group, count, 1, [&](int64_t i, double* out) { *out = value(i); });
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += all.const_data_ptr<double>()[i];
  return sum;
}

}  // namespace seednorm::lab
