#include "lab/vision/eval/frechet_distance.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor random(int64_t rows, int64_t dim, uint64_t seed) {
  return at::randn({rows, dim}, at::detail::createCPUGenerator(seed), at::kFloat);
}

FeatureMoments moments(const Tensor& features) {
  FeatureMoments out(features.size(1));
  const Tensor rows = features.to(at::kFloat).contiguous();
  out.add({rows.const_data_ptr<float>(), static_cast<size_t>(rows.numel())});
  return out;
}

double distance(const Tensor& a, const Tensor& b) { return frechet_distance(moments(a), moments(b)); }

// The trace as the sum of singular values of A B' / sqrt((n1 - 1)(n2 - 1)) of centred features: no covariance
// and no eigenvalue.
double by_singular_values(const Tensor& a, const Tensor& b) {
  const auto centred = [](const Tensor& x) {
    const Tensor rows = x.to(at::kDouble);
    return (rows - rows.mean(0)) / std::sqrt(static_cast<double>(x.size(0) - 1));
  };
  const Tensor ca = centred(a), cb = centred(b);
  const Tensor means = a.to(at::kDouble).mean(0) - b.to(at::kDouble).mean(0);
  const double trace = at::linalg_svdvals(at::matmul(ca, cb.t())).sum().item<double>();
  return (means.dot(means) + ca.pow(2).sum() + cb.pow(2).sum()).item<double>() - 2 * trace;
}

// scipy 1.17.1: |m|^2 + tr(S1 + S2 - 2 sqrtm(S1 S2)) of these features.
TEST(FrechetDistance, IsScipys) {
  const auto features = [](int64_t rows, double shift) {
    Tensor out = at::empty({rows, 6}, at::kDouble);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < 6; ++j) {
        const auto column = static_cast<double>(j), row = static_cast<double>(i);
        out[i][j] =
            std::sin(0.7 * row * (column + 1) + shift * (column + 1) * (column + 1)) + 0.01 * column * shift;
      }
    }
    return out;
  };
  // Features are rounded to float32 in both, and the root is of a matrix of full rank.
  EXPECT_TRUE(std::abs(distance(features(40, 0.3), features(50, 1.1)) - 0.661172095454674) <= 1e-9);
}

TEST(FrechetDistance, AgreesWithSingularValues) {
  for (const int64_t dim : {1, 5, 64}) {
    const Tensor a = random(150, dim, 1), b = random(200, dim, 2) * 1.5 + 0.3;
    const double expected = by_singular_values(a, b);
    EXPECT_TRUE(std::abs(distance(a, b) / expected - 1) <= 1e-10) << dim;
  }
  // Fewer pictures than features: eigenvalues are 0 to 1e-16 of the largest, and their roots, of which there
  // are up to 100, to 1e-8 of its root.
  const Tensor a = random(20, 100, 3), b = random(30, 100, 4) + 1;
  EXPECT_TRUE(std::abs(distance(a, b) - by_singular_values(a, b)) <= 2 * 100 * 1e-8 * 20);
}

TEST(FrechetDistance, HasKnownValues) {
  const Tensor x = random(100, 8, 1);
  // Of a set to itself; and moved by 1 in each of 8 features.
  EXPECT_TRUE(distance(x, x) <= 1e-6 * 8);
  EXPECT_TRUE(std::abs(distance(x, x + 1) - 8) <= 1e-5);
  // Twice the deviation: the sum of the variances, since (2 - 1)^2 = 1.
  const double variances = x.to(at::kDouble).var(0).sum().item<double>();
  EXPECT_TRUE(std::abs(distance(x, 2 * x - x.mean(0)) - variances) <= 1e-5);
  // The same rotation of both changes nothing.
  const Tensor rotation = std::get<0>(at::linalg_qr(random(8, 8, 2).to(at::kDouble)));
  const Tensor y = random(120, 8, 3) * 0.7 + 0.2;
  const auto rotated = [&](const Tensor& z) { return at::matmul(z.to(at::kDouble), rotation); };
  EXPECT_TRUE(std::abs(distance(rotated(x), rotated(y)) - distance(x, y)) <= 1e-5);
}

TEST(FrechetDistance, RefusesWhatItCannotCompare) {
  const Tensor x = random(10, 3, 1);
  EXPECT_THROW(distance(x, random(10, 4, 1)), std::invalid_argument);
  EXPECT_EQ(user_error([&] { distance(x, random(1, 3, 1)); }), "a covariance needs at least two pictures");
}

}  // namespace
}  // namespace seednorm::lab
