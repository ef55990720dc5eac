// DyISRU: DyT with an inverse square root.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_DYISRU_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_DYISRU_H_

#include <cmath>
#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// v / sqrt(1 + v^2), from the side on which nothing overflows.
template <class S>
S inverse_square_root_unit(const S& v) {
  if (!(std::fabs(value_of(v)) > 1)) return v / sqrt(1.0 + v * v);
  const S inverse = 1.0 / v;
  return (value_of(v) < 0 ? -1.0 : 1.0) / sqrt(1.0 + inverse * inverse);
}

// gamma alpha x / sqrt(1 + (alpha x)^2) + beta
template <class S>
std::vector<S> dyisru_formula(const Options&, const Row<S>& in) {
  std::vector<S> y;
  for (size_t i = 0; i < in.x.size(); ++i) {
    y.push_back(in.gamma[i] * inverse_square_root_unit(in.alpha[0] * in.x[i]) + in.beta[i]);
  }
  return y;
}

inline ParamKinds dyisru_kinds(const Options&) {
  return {ParamKind::kVector, ParamKind::kScalar, ParamKind::kVector};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_DYISRU_H_
