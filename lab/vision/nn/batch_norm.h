// BatchNorm (paper, Eq. 1; arXiv 1502.03167), which normalizes each channel over a batch.
#ifndef SEEDNORM_LAB_VISION_NN_BATCH_NORM_H_
#define SEEDNORM_LAB_VISION_NN_BATCH_NORM_H_

#include "lab/vision/nn/batch_statistics.h"

namespace seednorm::lab {

//   y = weight (x - mean) / sqrt(variance + eps) + bias
// for each channel, with mean and variance of all rows in training, and otherwise their running averages over
// the steps of training. Names, and the averages, are those of PyTorch's BatchNorm: of the variance it is the
// unbiased one.
class BatchNorm : public BatchStatisticsNorm {
 public:
  BatchNorm(int64_t channels, double eps) : BatchStatisticsNorm("batch_norm", channels, eps) {}
  // x [..., channels], at least two rows of it in training.
  at::Tensor forward(const at::Tensor& x, bool training) override;
  double operations() const override { return 5; }
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_BATCH_NORM_H_
