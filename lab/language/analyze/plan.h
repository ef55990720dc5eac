// A proposal of heads and alpha for SeeDNorm, from the values of z = dot_scale x_h . beta_h that a trained
// model has. It is a heuristic: a model that is trained with other heads gets another beta. Without libtorch.
//
// Heads. Theorem 3.2 of the paper: where the D products x_i beta_i are uncorrelated with mean 0,
//   E z_h^2 = sum over i in h of E (x_i beta_i)^2,
// so that with H heads  rms(z) = rms(z of one head) / sqrt(H).
// tanh is saturated where |u| > 0.95, that is |z| > artanh(0.95) = 1.83: it keeps less than a tenth of its
// slope there, and the gain hardly depends on the scale of x. The proposal is the smallest number of heads,
// of those that divide the width, with
//   2 rms(z) <= artanh(0.95),
// so that two standard deviations of a z with mean 0 are not saturated: 95% of the values if z is normal, 75%
// whatever its distribution (Chebyshev). rms(z) is measured for each number of heads, with the model's beta,
// and not taken from the theorem: the products of a trained model are correlated.
//
// alpha. Eq. 4 has the gain gamma + u alpha. The proposal is the alpha with which, for the proposed heads,
//   alpha rms(u) = share rms(gamma).
// At a share of 0.5 the gain of a token two standard deviations out is 0 or 2 gamma, and that of nearly all
// others keeps gamma's sign.
#ifndef SEEDNORM_LAB_LANGUAGE_ANALYZE_PLAN_H_
#define SEEDNORM_LAB_LANGUAGE_ANALYZE_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lab/nn/norm_spec.h"

namespace seednorm::lab {

// |z| beyond which the activation is saturated: it is within a twentieth of its half range of a limit.
// Nothing for activations without limits on both sides.
std::optional<double> saturation_point(Sigma sigma);

// What z of a norm is, or would be, with this number of heads: sums over rows and heads.
struct HeadSums {
  int64_t heads = 0, count = 0, num_saturated = 0;
  double z_squares = 0, u_squares = 0;

  double rms_z() const;
  double rms_u() const;
  double saturated() const;  // the share of |z| beyond the saturation point
};

struct MeasuredNorm {
  std::string name, site;
  NormSpec spec;
  double rms_alpha = 0, rms_gamma = 0;  // as the layer uses them: 1 and 0 where it has none
  std::vector<HeadSums> by_heads;       // for each divisor of the width, in increasing order

  const HeadSums* with(int64_t heads) const;  // null if they do not divide the width
  bool is_off() const;                        // beta is 0
};
// Adds the sums of the same norms on another text. `to` may be empty.
void add_sums(std::vector<MeasuredNorm>& to, const std::vector<MeasuredNorm>& more);

// One setting for all norms of a site whose beta is not 0.
struct SitePlan {
  std::string site;
  NormSpec spec;             // as it is
  int64_t num_norms = 0;     // without those whose beta is 0
  HeadSums now;              // of all these norms, with their heads
  double dynamic_share = 0;  // rms(alpha) rms(u) / rms(gamma), the median over the norms

  // The smallest number of heads that is enough for each of the norms, and with it the median of their
  // alphas. Nothing if no number is enough, the activation never saturates, or there are no norms; alpha also
  // if gamma is 0.
  std::optional<int64_t> heads;
  std::optional<double> alpha;
  HeadSums planned;          // as `now`, with these heads
  double theorem_rms_z = 0;  // rms(z) with these heads by Theorem 3.2, from one head

  // The norm with the proposal, alpha to two digits: a value for the setting norm.SITE. Only with heads.
  NormSpec proposal() const;
};
// A plan for each site with norms, in the order of the norms. `share` is positive.
std::vector<SitePlan> plan(const std::vector<MeasuredNorm>& norms, double share);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_ANALYZE_PLAN_H_
