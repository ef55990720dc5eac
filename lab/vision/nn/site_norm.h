// The norm of a site that takes any norm: of each row by itself, or with statistics of the batch.
#ifndef SEEDNORM_LAB_VISION_NN_SITE_NORM_H_
#define SEEDNORM_LAB_VISION_NN_SITE_NORM_H_

#include <memory>
#include <string>

#include "lab/nn/norm_layer.h"
#include "lab/vision/nn/batch_statistics.h"

namespace seednorm::lab {

class SiteNorm {
 public:
  SiteNorm() = default;
  // A module of `parent` with this name. Errors (std::invalid_argument): see NormLayer.
  SiteNorm(torch::nn::Module& parent, const std::string& name, const NormSpec& spec, int64_t width) {
    if (spec.needs_batch()) {
      batch_ = parent.register_module(name, make_batch_statistics_norm(spec, width));
    } else {
      rows_ = parent.register_module(name, std::make_shared<NormLayer>(spec, width));
    }
  }

  // x [..., width] -> the same.
  at::Tensor forward(const at::Tensor& x, bool training) const {
    return batch_ ? batch_->forward(x, training) : rows_->forward(x);
  }

 private:
  std::shared_ptr<NormLayer> rows_;
  std::shared_ptr<BatchStatisticsNorm> batch_;  // one of the two
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_SITE_NORM_H_
