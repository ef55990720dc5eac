// Switchable normalization (Luo et al., arXiv 1806.10779), which learns how much of each norm it is.
#ifndef SEEDNORM_LAB_VISION_NN_SWITCHABLE_NORM_H_
#define SEEDNORM_LAB_VISION_NN_SWITCHABLE_NORM_H_

#include "lab/vision/nn/batch_statistics.h"

namespace seednorm::lab {

//   y = weight (x - sum_k w_k mean_k) / sqrt(sum_k v_k var_k + eps) + bias
// for each channel, where k is instance (the positions of one channel of a picture), layer (all channels of a
// picture) or batch (one channel of all pictures), w = softmax(mean_weight) and v = softmax(var_weight).
// Names are those of the authors' code. Variances are biased, also in the running averages.
class SwitchableNorm : public BatchStatisticsNorm {
 public:
  SwitchableNorm(int64_t channels, double eps);
  // At least two pictures in training.
  at::Tensor forward(const at::Tensor& x, bool training) override;
  double operations() const override { return 7; }

 private:
  at::Tensor mean_weight_, var_weight_;  // [3]: instance, layer, batch
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_SWITCHABLE_NORM_H_
