// Stochastic depth (arXiv 1603.09382): in training, branches are left out for some of the pictures.
#ifndef SEEDNORM_LAB_VISION_NN_DROP_PATH_H_
#define SEEDNORM_LAB_VISION_NN_DROP_PATH_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "lab/vision/nn/pass.h"

namespace seednorm::lab {

// Rates from 0 at the first of `count` blocks to `rate` at the last, in even steps.
std::vector<double> drop_path_rates(double rate, int64_t count);

// The factors of all branches for the rows of one pass: 0 for a branch that is left out, 1 / (1 - rate) for
// one that is kept.
class DropPath {
 public:
  // rates: of each branch, in the order in which they are applied. The factors are on `device`, that of the
  // branches.
  DropPath(const std::vector<double>& rates, int64_t rows, const Pass& pass, at::Device device = at::kCPU);

  // The branch [N, ...], whose number is `index`, times its factors. Nothing is computed where its rate is 0
  // or the pass is not of training.
  at::Tensor apply(const at::Tensor& branch, int64_t index) const;

 private:
  std::vector<at::Tensor> factors_;  // [N] each; undefined: 1
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_DROP_PATH_H_
