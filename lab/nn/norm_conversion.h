// Norms in the place of others, with the parameters that mean the same in both.
#ifndef SEEDNORM_LAB_NN_NORM_CONVERSION_H_
#define SEEDNORM_LAB_NN_NORM_CONVERSION_H_

#include <string>

#include "lab/nn/norm_layer.h"

namespace seednorm::lab {

// Copies to `to`, whose parameters have their initial values, those of `from` that mean the same.
void share_params(const NormLayer& from, const NormLayer& to);

// Why `to` with the parameters that share_params copies does not compute what `from` does, bit for bit; empty
// if it does. With beta 0 SeeDNorm is RMSNorm (Eq. 4).
std::string why_outputs_differ(const NormLayer& from, const NormLayer& to);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_NORM_CONVERSION_H_
