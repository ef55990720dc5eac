// The exponential moving average of a model's weights, which some recipes evaluate instead of the weights.
#ifndef SEEDNORM_LAB_TRAIN_WEIGHT_AVERAGE_H_
#define SEEDNORM_LAB_TRAIN_WEIGHT_AVERAGE_H_

#include <string>
#include <utility>
#include <vector>

#include "lab/nn/param_info.h"
#include "lab/train/config.h"

namespace seednorm::lab {

// Owned by a workload that has one; the trainer updates it, and checkpoints contain it.
class WeightAverage {
 public:
  // Starts as a copy of the weights. config.decay > 0.
  WeightAverage(const std::vector<ParamInfo>& params, const AverageConfig& config);

  // average = decay average + (1 - decay) weights, after the step with this number, counted from 0.
  void update(int64_t step);
  // decay, or with warm-up at most 1 - (1 + step)^(-2/3): as in timm, so that short runs forget their
  // beginning.
  double decay_at(int64_t step) const;

  // While this object lives, the model has the averaged weights.
  class InUse {
   public:
    explicit InUse(WeightAverage& average) : average_(average) { average_.swap(); }
    ~InUse() { average_.swap(); }
    InUse(const InUse&) = delete;
    InUse& operator=(const InUse&) = delete;

   private:
    WeightAverage& average_;
  };

  // The averages under the parameters' names, to be saved, or to be filled when loading.
  std::vector<std::pair<std::string, at::Tensor>> state() const;

 private:
  void follow_weights();
  void swap();

  AverageConfig config_;
  std::vector<std::string> names_;
  std::vector<at::Tensor> weights_, averages_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_WEIGHT_AVERAGE_H_
