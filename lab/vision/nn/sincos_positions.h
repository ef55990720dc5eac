// Fixed positions of patches, as MAE and DiT have them.
#ifndef SEEDNORM_LAB_VISION_NN_SINCOS_POSITIONS_H_
#define SEEDNORM_LAB_VISION_NN_SINCOS_POSITIONS_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// [side * side, dim] float32 for a grid of patches, row by row. The first half of the channels says the
// column, the second the row: sin(p w_k) for all k, then cos(p w_k), with w_k = 10000^(-k / (dim / 4)),
// computed in double. Errors (std::invalid_argument): a width that 4 does not divide.
at::Tensor sincos_positions(int64_t dim, int64_t side);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_SINCOS_POSITIONS_H_
