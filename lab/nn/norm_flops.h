// What a norm costs.
#ifndef SEEDNORM_LAB_NN_NORM_FLOPS_H_
#define SEEDNORM_LAB_NN_NORM_FLOPS_H_

#include "lab/nn/norm_layer.h"

namespace seednorm::lab {

// FLOPs of forward for one row: 3 * dim for the statistics of a row, if the norm has any, and their product
// with it, 2 * dim for each dynamic parameter (a product and a sum, as in the paper's Appendix F.1) and dim
// for each other one. Activations and the means of LayerNorm are not counted. Backward needs twice as many.
inline double flops_of_row(const NormLayer& norm) {
  const NormInfo& info = norm.layer().info();
  int64_t operations = info.num_stats(norm.layer().options()) > 0 ? 3 : 0;  // for each column
  for (const NormParam& p : norm.params()) {
    operations += info.find(p.param)->role == ParamRole::kDynamic ? 2 : 1;
  }
  return static_cast<double>(operations * norm.layer().dim());
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_NORM_FLOPS_H_
