// What the Frechet distance of two sets of pictures is computed from.
#ifndef SEEDNORM_LAB_VISION_EVAL_FRECHET_H_
#define SEEDNORM_LAB_VISION_EVAL_FRECHET_H_

#include <cstdint>
#include <span>
#include <vector>

namespace seednorm::lab {

// Mean and covariance of features, summed up in double. Sums of parts of a set are merged to those of the
// whole.
class FeatureMoments {
 public:
  explicit FeatureMoments(int64_t dim);

  int64_t dim() const { return dim_; }
  int64_t count() const { return count_; }

  // features: [rows, dim]. Throws UserError that says which row it is if one is not finite.
  void add(std::span<const float> features);
  void merge(const FeatureMoments& other);

  std::vector<double> mean() const;
  // [dim, dim], divided by count - 1. Throws UserError with fewer than two rows.
  std::vector<double> covariance() const;

 private:
  int64_t dim_, count_ = 0;
  // Of x - origin_, where the origin is the first row: so that squares of a large mean do not swallow the
  // variance.
  std::vector<double> origin_, sums_, products_;  // products_: [dim, dim], columns up to the row only
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_EVAL_FRECHET_H_
