// ScaleNorm: one gain for a row of fixed length.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_SCALE_NORM_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_SCALE_NORM_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// g x / max(|x|, eps)
template <class S>
std::vector<S> scale_norm_formula(const Options& options, const Row<S>& in) {
  const S length = max(sqrt(sum(squares(in.x))), S(options.eps));
  std::vector<S> y;
  for (const S& x : in.x) y.push_back(in.gamma[0] * (x / length));
  return y;
}

inline ParamKinds scale_norm_kinds(const Options&) { return {ParamKind::kScalar}; }

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_SCALE_NORM_H_
