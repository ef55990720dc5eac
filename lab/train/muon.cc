#include "lab/train/muon.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "lab/nn/cpu/multiply.h"
#include "lab/nn/device.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr double kMomentum = 0.95;
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
constexpr int kIterations = 5;
constexpr double kLeastNorm = 1e-7;  // of a matrix, which may be 0

// [M, N], M <= N, contiguous.
Tensor orthogonalized_wide(const Tensor& matrix) {
  const Tensor wide = uses_cpu_kernels(matrix) ? matrix : matrix.to(at::kBFloat16);
  // Sums of rows, and then of these few: libtorch divides a sum over all of a tensor among its threads.
  const Tensor squares = wide.to(at::kFloat).square().sum(1).sum();
  Tensor x = wide / squares.sqrt().clamp_min(kLeastNorm).to(wide.scalar_type());
  Tensor gram = at::empty({x.size(0), x.size(0)}, x.options());
  for (int i = 0; i < kIterations; ++i) {
    multiply(gram, x, x.t());
    const Tensor polynomial = gram.clone();
    multiply(polynomial, gram, gram, kC, kB);
    const Tensor next = x.clone();
    multiply(next, polynomial, x, 1, kA);
    x = next;
  }
  return x.to(at::kFloat);
}

}  // namespace

Tensor orthogonalized(const Tensor& matrix) {
  const bool is_tall = matrix.size(0) > matrix.size(1);
  const Tensor out = orthogonalized_wide((is_tall ? matrix.t() : matrix).contiguous());
  return is_tall ? out.t() : out;
}

// Products and sums are separate operations: a fused one is used for whole vectors only, and where these
// begin depends on the number of threads.
void muon_step(const Tensor& param, const Tensor& gradient, const Tensor& momentum, double lr,
               double weight_decay, const std::optional<Tensor>& skip) {
  if (param.dim() == 3) {
    for (int64_t e = 0; e < param.size(0); ++e)
      muon_step(param[e], gradient[e], momentum[e], lr, weight_decay, skip);
    return;
  }
  const Tensor fresh = gradient * (1 - kMomentum);
  const Tensor average = momentum * kMomentum + fresh;
  const Tensor direction = orthogonalized(average * kMomentum + fresh);
  const auto longer = static_cast<double>(std::max(param.size(0), param.size(1)));
  const Tensor end = param * (1 - lr * weight_decay) - direction * (0.2 * std::sqrt(longer) * lr);
  const auto assign = [&](const Tensor& to, const Tensor& value) {
    to.copy_(skip ? at::where(skip->to(at::kBool), to, value) : value);
  };
  assign(momentum, average);
  assign(param, end);
}

}  // namespace seednorm::lab
