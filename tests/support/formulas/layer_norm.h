// LayerNorm, Eq. 1 over a row.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_LAYER_NORM_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_LAYER_NORM_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// gamma (x - mu) / sqrt(sigma^2 + eps) + beta, with the biased variance
template <class S>
std::vector<S> layer_norm_formula(const Options& options, const Row<S>& in) {
  const S mu = mean(in.x);
  std::vector<S> centered;
  for (const S& x : in.x) centered.push_back(x - mu);
  const S deviation = sqrt(mean(squares(centered)) + options.eps);
  std::vector<S> y;
  for (size_t i = 0; i < in.x.size(); ++i) {
    y.push_back(at(in.gamma, i, 1) * (centered[i] / deviation) + at(in.beta, i, 0));
  }
  return y;
}

inline ParamKinds layer_norm_kinds(const Options& options) {
  return {kind_of(options.gamma), ParamKind::kAbsent, kind_of(options.beta)};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_LAYER_NORM_H_
