// DyT, Eq. 3.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_DYT_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_DYT_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// gamma tanh(alpha x) + beta
template <class S>
std::vector<S> dyt_formula(const Options&, const Row<S>& in) {
  std::vector<S> y;
  for (size_t i = 0; i < in.x.size(); ++i) {
    y.push_back(in.gamma[i] * tanh(in.alpha[0] * in.x[i]) + in.beta[i]);
  }
  return y;
}

inline ParamKinds dyt_kinds(const Options&) {
  return {ParamKind::kVector, ParamKind::kScalar, ParamKind::kVector};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_DYT_H_
