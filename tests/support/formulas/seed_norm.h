// SeeDNorm, Eq. 4, and in heads, Eq. 7.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_SEED_NORM_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_SEED_NORM_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// [sigma(x . beta^T) alpha + gamma] x / RMS(x); without gamma (Table 3) the coefficient takes its place.
template <class S>
std::vector<S> seed_norm_formula(const Options& options, const Row<S>& in) {
  const std::vector<S> coefficient = dynamic_coefficient(options, in);
  const S rms = sqrt(mean(squares(in.x)) + options.eps);
  std::vector<S> y;
  for (size_t i = 0; i < in.x.size(); ++i) {
    S gain = coefficient[i];
    if (options.gamma == Form::kVector) gain = gain + in.gamma[i];
    if (options.gamma == Form::kPlusOne) gain = gain + (1.0 + in.gamma[i]);
    y.push_back(gain * (in.x[i] / rms));
  }
  return y;
}

inline ParamKinds seed_norm_kinds(const Options& options) {
  return {kind_of(options.gamma), kind_of(options.alpha), kind_of(options.beta)};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_SEED_NORM_H_
