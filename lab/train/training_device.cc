#include "lab/train/training_device.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdlib>

#include "lab/base/error.h"

namespace seednorm::lab {

at::Device training_device(const std::string& setting, int local_rank) {
  if (setting == "cpu") return at::kCPU;
  if (!at::hasCUDA()) {
    throw UserError("device: " + setting +
                    " cannot be used: this machine has no GPU, or libtorch is built for CPUs " +
                    "only (the preset lab-cuda builds with one for GPUs)");
  }
  const size_t colon = setting.find(':');
  const int index = colon == std::string::npos ? local_rank : std::atoi(setting.c_str() + colon + 1);
  const c10::impl::VirtualGuardImpl gpus(at::kCUDA);
  if (index >= gpus.deviceCount()) {
    throw UserError("device: there is no GPU " + std::to_string(index) + "; this machine has " +
                    std::to_string(gpus.deviceCount()));
  }
  const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(index));
  gpus.setDevice(device);
  return device;
}

std::shared_ptr<Group> training_group(const std::string& device) {
  const auto launch = launch_from(process_environment());
  const at::Device own = training_device(device, launch ? launch->local_rank : 0);
  return launch ? std::make_shared<Group>(*launch, own) : std::make_shared<Group>(own);
}

std::shared_ptr<Group> lone_group(const std::string& device) {
  const auto launch = launch_from(process_environment());
  return std::make_shared<Group>(training_device(device, launch ? launch->local_rank : 0));
}

}  // namespace seednorm::lab
