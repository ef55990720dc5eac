#include "lab/vision/eval/frechet.h"

#include <cmath>
#include <stdexcept>
#include <string>

#include "lab/base/error.h"

namespace seednorm::lab {

FeatureMoments::FeatureMoments(int64_t dim) : dim_(dim), origin_(dim), sums_(dim), products_(dim * dim) {}

void FeatureMoments::add(std::span<const float> features) {
  if (static_cast<int64_t>(features.size()) % dim_ != 0)
    throw std::invalid_argument("features: not whole rows");
  std::vector<double> x(dim_);
  for (size_t at = 0; at < features.size(); at += dim_) {
    const float* row = features.data() + at;
    for (int64_t i = 0; i < dim_; ++i) {
      if (std::isfinite(row[i])) continue;
      throw UserError("the features of picture " + std::to_string(count_) +
                      " are not finite; nothing can be measured");
    }
    if (count_ == 0) origin_.assign(row, row + dim_);
    for (int64_t i = 0; i < dim_; ++i) {
      x[i] = row[i] - origin_[i];
      sums_[i] += x[i];
    }
    for (int64_t i = 0; i < dim_; ++i) {
      double* products = products_.data() + i * dim_;
      for (int64_t j = 0; j <= i; ++j) products[j] += x[i] * x[j];
    }
    ++count_;
  }
}

void FeatureMoments::merge(const FeatureMoments& other) {
  if (other.dim_ != dim_) throw std::invalid_argument("features: other widths");
  if (other.count_ == 0) return;
  if (count_ == 0) {
    *this = other;
    return;
  }
  // The other's sums about our origin: with d = other.origin - origin, sum (x + d)(x + d)'.
  std::vector<double> d(dim_);
  const auto n = static_cast<double>(other.count_);
  for (int64_t i = 0; i < dim_; ++i) d[i] = other.origin_[i] - origin_[i];
  for (int64_t i = 0; i < dim_; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      products_[i * dim_ + j] +=
          other.products_[i * dim_ + j] + d[i] * other.sums_[j] + other.sums_[i] * d[j] + n * d[i] * d[j];
    }
  }
  for (int64_t i = 0; i < dim_; ++i) sums_[i] += other.sums_[i] + n * d[i];
  count_ += other.count_;
}

std::vector<double> FeatureMoments::mean() const {
  std::vector<double> mean(dim_);
  for (int64_t i = 0; i < dim_; ++i)
    mean[i] = origin_[i] + (count_ > 0 ? sums_[i] / static_cast<double>(count_) : 0);
  return mean;
}

std::vector<double> FeatureMoments::covariance() const {
  if (count_ < 2) throw UserError("a covariance needs at least two pictures");
  const auto n = static_cast<double>(count_);
  std::vector<double> out(dim_ * dim_);
  for (int64_t i = 0; i < dim_; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      out[i * dim_ + j] = out[j * dim_ + i] = (products_[i * dim_ + j] - sums_[i] * sums_[j] / n) / (n - 1);
    }
  }
  return out;
}

}  // namespace seednorm::lab
