// The settings of one kind of model and its data. Without libtorch, so that code that only reads and checks
// recipes does not need it.
#ifndef SEEDNORM_LAB_TRAIN_WORKLOAD_CONFIG_H_
#define SEEDNORM_LAB_TRAIN_WORKLOAD_CONFIG_H_

#include <memory>
#include <string>

#include "lab/train/setting.h"

namespace seednorm::lab {

class WorkloadConfig {
 public:
  virtual ~WorkloadConfig() = default;
  virtual std::unique_ptr<WorkloadConfig> clone() const = 0;
  // The unit of training data: "token", "image".
  virtual std::string unit() const = 0;
  // Settings bound to this object, including "norm.SITE" for each norm site.
  virtual Settings settings() = 0;
  // Errors (std::invalid_argument): the message begins with the setting's name.
  virtual void check() const = 0;
  // The approximate number of parameters of the model, without building it.
  virtual double estimated_params() const = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_WORKLOAD_CONFIG_H_
