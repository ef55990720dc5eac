// BatchNorm (paper, Eq. 1; arXiv 1502.03167), which normalizes each channel over a batch.
#ifndef SEEDNORM_LAB_VISION_NN_BATCH_NORM_H_
#define SEEDNORM_LAB_VISION_NN_BATCH_NORM_H_

#include <torch/nn/module.h>

#include <string>

#include "lab/nn/role.h"

namespace seednorm::lab {

//   y = weight (x - mean) / sqrt(variance + eps) + bias
// for each channel, with mean and variance of all rows in training, and otherwise their running averages over
// the steps of training. Names, and the averages, are those of PyTorch's BatchNorm.
class BatchNorm : public torch::nn::Module, public HasRoles {
 public:
  BatchNorm(int64_t channels, double eps);

  // x [..., channels], at least two rows of it in training -> the same shape and dtype. In training the
  // averages move a tenth of the way to the batch's mean and unbiased variance.
  at::Tensor forward(const at::Tensor& x, bool training);

  Role role(const std::string&) const override { return Role::kGain; }
  int64_t channels() const { return weight_.numel(); }

 private:
  double eps_;
  at::Tensor weight_, bias_;               // [channels]
  at::Tensor running_mean_, running_var_;  // buffers, [channels]
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_BATCH_NORM_H_
