// AdaSeeDNorm, Eq. 8.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_ADA_SEED_NORM_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_ADA_SEED_NORM_H_

#include <vector>

#include "tests/support/formula.h"

namespace seednorm::test {

// [(sigma(x . beta^T) alpha + 1) x / RMS(x)] (1 + gamma(c)) + eta(c)
//
// The sum in the inner brackets is multiplied out, since backward sums its two terms apart: where they
// cancel, as with alpha = 1 and hardtanh's sigma = -1, the tolerance must be that of the terms.
template <class S>
std::vector<S> ada_seed_norm_formula(const Options& options, const Row<S>& in) {
  const std::vector<S> coefficient = dynamic_coefficient(options, in);
  const S rms = sqrt(mean(squares(in.x)) + options.eps);
  std::vector<S> y;
  for (size_t i = 0; i < in.x.size(); ++i) {
    const S normed = in.x[i] / rms;
    y.push_back((coefficient[i] * normed + normed) * (1.0 + in.gamma_c[i]) + in.eta_c[i]);
  }
  return y;
}

inline ParamKinds ada_seed_norm_kinds(const Options& options) {
  return {ParamKind::kAbsent, kind_of(options.alpha), kind_of(options.beta),
          ParamKind::kAbsent, ParamKind::kPerSample,  ParamKind::kPerSample};
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_ADA_SEED_NORM_H_
