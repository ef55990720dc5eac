// The settings of one kind of model and its data. Without libtorch, so that recipes can be read and
// checked alone.
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
  // What one step trains on many of: "token", "image".
  virtual std::string unit() const = 0;
  // Settings bound to this object, "norm.SITE" for each norm site among them.
  virtual Settings settings() = 0;
  // Errors (std::invalid_argument): the message begins with the setting's name.
  virtual void check() const = 0;
  // About how many parameters the model has, without building it.
  virtual double estimated_params() const = 0;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_WORKLOAD_CONFIG_H_
