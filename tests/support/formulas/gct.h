// Gated channel transformation of a row.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_GCT_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_GCT_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// x [1 + tanh(gamma e / sqrt(mean e^2 + eps) + beta)], e = alpha |x|
template <class S>
std::vector<S> gct_formula(const Options& options, const Row<S>& in) {
  std::vector<S> e, y;
  for (size_t i = 0; i < in.x.size(); ++i) e.push_back(in.alpha[i] * abs(in.x[i]));
  const S length = sqrt(mean(squares(e)) + options.eps);
  for (size_t i = 0; i < in.x.size(); ++i) {
    y.push_back(in.x[i] * (1.0 + tanh(in.gamma[i] * (e[i] / length) + in.beta[i])));
  }
  return y;
}

inline ParamKinds gct_kinds(const Options&) {
  return {ParamKind::kVector, ParamKind::kVector, ParamKind::kVector};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_GCT_H_
