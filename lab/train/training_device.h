// The device that a process trains on.
#ifndef SEEDNORM_LAB_TRAIN_TRAINING_DEVICE_H_
#define SEEDNORM_LAB_TRAIN_TRAINING_DEVICE_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "lab/dist/group.h"

namespace seednorm::lab {

// The device of the setting: "cpu"; "cuda:N"; "cuda", the GPU with the process's number on its machine. Makes
// a GPU the current one. Errors (UserError): this build or this machine does not have it.
at::Device training_device(const std::string& setting, int local_rank);

// The group that the environment describes, or one process, training on the setting's device.
std::shared_ptr<Group> training_group(const std::string& device);
// One process of those that a launcher started, for itself.
std::shared_ptr<Group> lone_group(const std::string& device);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_TRAINING_DEVICE_H_
