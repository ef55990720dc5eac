#include "lab/vision/eval/frechet_distance.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <stdexcept>

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor square(const std::vector<double>& covariance, int64_t dim) {
  return at::tensor(covariance, at::kDouble).view({dim, dim});
}

}  // namespace

double frechet_distance(const FeatureMoments& a, const FeatureMoments& b) {
  if (a.dim() != b.dim()) throw std::invalid_argument("features: other widths");
  const at::NoGradGuard no_grad;
  const Tensor s1 = square(a.covariance(), a.dim()), s2 = square(b.covariance(), b.dim());
  const Tensor means = at::tensor(a.mean(), at::kDouble) - at::tensor(b.mean(), at::kDouble);
  const auto [values, vectors] = at::linalg_eigh(s1);
  // Eigenvalues that rounding makes negative are 0.
  const Tensor root = at::matmul(vectors * values.clamp_min(0).sqrt(), vectors.t());
  const Tensor product = at::matmul(at::matmul(root, s2), root);
  const Tensor trace = at::linalg_eigvalsh((product + product.t()) / 2).clamp_min(0).sqrt().sum();
  const Tensor distance = means.dot(means) + s1.trace() + s2.trace() - 2 * trace;
  return std::max(distance.item<double>(), 0.0);
}

}  // namespace seednorm::lab
