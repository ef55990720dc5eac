#include "lab/vision/nn/sincos_positions.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <stdexcept>

namespace seednorm::lab {

using at::Tensor;

Tensor sincos_positions(int64_t dim, int64_t side) {
  if (dim % 4 != 0) {
    throw std::invalid_argument("dim: expected a multiple of 4 for fixed positions, got " +
                                std::to_string(dim));
  }
  const Tensor k = at::arange(dim / 4, at::kDouble);
  const Tensor frequencies = at::pow(10000.0, -k / (static_cast<double>(dim) / 4));
  const Tensor places = at::arange(side, at::kDouble);
  const auto encode = [&](const Tensor& at) {
    const Tensor angles = at.flatten().unsqueeze(1) * frequencies;
    return at::cat({angles.sin(), angles.cos()}, 1);
  };
  const Tensor columns = places.unsqueeze(0).expand({side, side}),
               rows = places.unsqueeze(1).expand({side, side});
  return at::cat({encode(columns), encode(rows)}, 1).to(at::kFloat);
}

}  // namespace seednorm::lab
