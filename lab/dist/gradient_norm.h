// The norm of the whole gradient, the same to the last bit however it is distributed.
#ifndef SEEDNORM_LAB_DIST_GRADIENT_NORM_H_
#define SEEDNORM_LAB_DIST_GRADIENT_NORM_H_

#include <vector>

#include "lab/dist/group.h"
#include "lab/dist/shards.h"

namespace seednorm::lab {

// The joint norm of the parameters' gradients, of which each rank has its ranges (undefined: none). Squares
// are summed in double, in chunks of Shards::kChunk elements and these in their order, so that neither the
// number of ranks nor that of threads changes a bit. NaN or Inf makes it NaN or Inf. The gradients are on the
// CPU. -> a float64 scalar.
at::Tensor gradient_norm(const std::vector<at::Tensor>& gradients, const Shards& shards, const Group& group);

// The same up to rounding, in whatever order is fast on the gradients' device. Nothing waits for it.
at::Tensor fast_gradient_norm(const std::vector<at::Tensor>& gradients, at::Device device,
                              const Group& group);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_GRADIENT_NORM_H_
