// Learnable adaptive normalization: LayerNorm's formula with learned m and v.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_LAN_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_LAN_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// gamma (x - m) / sqrt(relu(v) + eps) + beta; v is alpha, m is shift
template <class S>
std::vector<S> lan_formula(const Options& options, const Row<S>& in) {
  std::vector<S> y;
  for (size_t i = 0; i < in.x.size(); ++i) {
    const S deviation = sqrt(max(in.alpha[i], S(0.0)) + options.eps);
    y.push_back(in.gamma[i] * (in.x[i] - in.shift[i]) / deviation + in.beta[i]);
  }
  return y;
}

inline ParamKinds lan_kinds(const Options&) {
  return {ParamKind::kVector, ParamKind::kVector, ParamKind::kVector, ParamKind::kVector};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_LAN_H_
