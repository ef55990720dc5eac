// Derf: DyT with erf and a shift.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_DERF_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_DERF_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// gamma erf(alpha x + s) + beta
template <class S>
std::vector<S> derf_formula(const Options&, const Row<S>& in) {
  std::vector<S> y;
  for (size_t i = 0; i < in.x.size(); ++i) {
    y.push_back(in.gamma[i] * erf(in.alpha[0] * in.x[i] + in.shift[0]) + in.beta[i]);
  }
  return y;
}

inline ParamKinds derf_kinds(const Options&) {
  return {ParamKind::kVector, ParamKind::kScalar, ParamKind::kVector, ParamKind::kScalar};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_DERF_H_
