#include "lab/nn/device.h"

#include <torch/nn/module.h>

#include <atomic>
#include <stdexcept>
#include <string>

namespace seednorm::lab {
namespace {

std::atomic<int> plain_scopes = 0;

}  // namespace

bool uses_cpu_kernels(const at::Tensor& t) {
  return t.is_cpu() && plain_scopes.load(std::memory_order_relaxed) == 0;
}

PlainTensors::PlainTensors() { ++plain_scopes; }
PlainTensors::~PlainTensors() { --plain_scopes; }

void require_cpu(const char* operation, std::initializer_list<at::Tensor> tensors) {
  for (const at::Tensor& t : tensors) {
    if (t.defined() && !t.is_cpu()) {
      throw std::invalid_argument(std::string(operation) + ": no code for device " + t.device().str() +
                                  "; expected all tensors on the CPU");
    }
  }
}

at::Device model_device(const torch::nn::Module& model) {
  const std::vector<at::Tensor> parameters = model.parameters();
  return parameters.empty() ? at::Device(at::kCPU) : parameters[0].device();
}

const at::Tensor& Table::on(at::Device device) const {
  if (values_.device() == device) return values_;
  if (!copy_.defined() || copy_.device() != device) copy_ = values_.to(device);
  return copy_;
}

}  // namespace seednorm::lab
