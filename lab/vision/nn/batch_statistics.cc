#include "lab/vision/nn/batch_statistics.h"

#include <ATen/Functions.h>

#include <stdexcept>

#include "lab/vision/nn/batch_norm.h"
#include "lab/vision/nn/switchable_norm.h"

namespace seednorm::lab {

BatchStatisticsNorm::BatchStatisticsNorm(const std::string& name, int64_t channels, double eps)
    : torch::nn::Module(name),
      eps_(eps),
      weight_(register_parameter("weight", at::ones({channels}))),
      bias_(register_parameter("bias", at::zeros({channels}))),
      running_mean_(register_buffer("running_mean", at::zeros({channels}))),
      running_var_(register_buffer("running_var", at::ones({channels}))) {}

std::shared_ptr<BatchStatisticsNorm> make_batch_statistics_norm(const NormSpec& spec, int64_t channels) {
  if (spec.name == "batch_norm") return std::make_shared<BatchNorm>(channels, spec.options.eps);
  if (spec.name == "switchable_norm") return std::make_shared<SwitchableNorm>(channels, spec.options.eps);
  throw std::invalid_argument("[" + spec.name + "] norm: does not normalize over a batch");
}

}  // namespace seednorm::lab
