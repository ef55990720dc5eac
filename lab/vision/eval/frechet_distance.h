// The Frechet distance of two sets of pictures, by the features that a network gives them.
#ifndef SEEDNORM_LAB_VISION_EVAL_FRECHET_DISTANCE_H_
#define SEEDNORM_LAB_VISION_EVAL_FRECHET_DISTANCE_H_

#include "lab/vision/eval/frechet.h"

namespace seednorm::lab {

// |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)) of means and covariances (arXiv 1706.08500), in double.
// The last trace is the sum of the roots of the eigenvalues of R S2 R with R = S1^(1/2), a symmetric matrix:
// unlike the root of S1 S2, which is not, it needs no correction where covariances are singular, as they are
// with fewer pictures than features. The distance is called FID only with the 2015 Inception network's
// features. Errors (UserError): fewer than two pictures in a set. Errors (std::invalid_argument): features of
// different widths.
double frechet_distance(const FeatureMoments& a, const FeatureMoments& b);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_EVAL_FRECHET_DISTANCE_H_
