// LayerNorm of each group of columns.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_GROUP_LAYER_NORM_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_GROUP_LAYER_NORM_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// gamma (x - mu_h) / sqrt(sigma_h^2 + eps) + beta, where num_heads groups h of equal width divide the row
template <class S>
std::vector<S> group_layer_norm_formula(const Options& options, const Row<S>& in) {
  const size_t width = in.x.size() / static_cast<size_t>(options.num_heads);
  std::vector<S> y;
  for (size_t begin = 0; begin < in.x.size(); begin += width) {
    const std::vector<S> x(in.x.begin() + static_cast<std::ptrdiff_t>(begin),
                           in.x.begin() + static_cast<std::ptrdiff_t>(begin + width));
    const S mu = mean(x);
    std::vector<S> centered;
    for (const S& element : x) centered.push_back(element - mu);
    const S deviation = sqrt(mean(squares(centered)) + options.eps);
    for (size_t i = 0; i < width; ++i) {
      y.push_back(in.gamma[begin + i] * (centered[i] / deviation) + in.beta[begin + i]);
    }
  }
  return y;
}

inline ParamKinds group_layer_norm_kinds(const Options&) {
  return {ParamKind::kVector, ParamKind::kAbsent, ParamKind::kVector};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_GROUP_LAYER_NORM_H_
