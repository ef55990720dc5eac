// Norms whose statistics are those of a batch of pictures: the names that NormSpec::needs_batch() knows.
#ifndef SEEDNORM_LAB_VISION_NN_BATCH_STATISTICS_H_
#define SEEDNORM_LAB_VISION_NN_BATCH_STATISTICS_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <string>

#include "lab/nn/norm_spec.h"
#include "lab/nn/role.h"

namespace seednorm::lab {

class BatchStatisticsNorm : public torch::nn::Module, public HasRoles {
 public:
  // x [N, ..., channels] -> the same shape and dtype. In training the statistics are those of this batch, and
  // running averages move a tenth of the way to them; otherwise those averages take their place. Errors
  // (std::invalid_argument): fewer rows than statistics need in training.
  virtual at::Tensor forward(const at::Tensor& x, bool training) = 0;
  // For each number of x, without those that decide nothing for a large batch.
  virtual double operations() const = 0;

  Role role(const std::string&) const override { return Role::kGain; }
  int64_t channels() const { return weight_.numel(); }

 protected:
  static constexpr double kMomentum = 0.1;  // the weight of a step in the running averages

  // Names are those of PyTorch's BatchNorm.
  BatchStatisticsNorm(const std::string& name, int64_t channels, double eps);

  double eps_;
  at::Tensor weight_, bias_;               // [channels]
  at::Tensor running_mean_, running_var_;  // buffers, [channels]
};

// Errors (std::invalid_argument): not a norm that needs a batch.
std::shared_ptr<BatchStatisticsNorm> make_batch_statistics_norm(const NormSpec& spec, int64_t channels);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_BATCH_STATISTICS_H_
