// RMSNorm, Eq. 2.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_RMS_NORM_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_RMS_NORM_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// gamma x / RMS(x)
template <class S>
std::vector<S> rms_norm_formula(const Options& options, const Row<S>& in) {
  const S rms = sqrt(mean(squares(in.x)) + options.eps);
  std::vector<S> y;
  for (size_t i = 0; i < in.x.size(); ++i) {
    const S gamma = at(in.gamma, i, 1);
    y.push_back((options.gamma == Form::kPlusOne ? 1.0 + gamma : gamma) * (in.x[i] / rms));
  }
  return y;
}

inline ParamKinds rms_norm_kinds(const Options& options) { return {kind_of(options.gamma)}; }

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_RMS_NORM_H_
