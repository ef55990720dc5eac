// Which code computes on a tensor: our kernels are for the CPU, and plain operators of libtorch for every
// other device.
#ifndef SEEDNORM_LAB_NN_DEVICE_H_
#define SEEDNORM_LAB_NN_DEVICE_H_

#include <ATen/core/Tensor.h>

#include <initializer_list>

namespace torch::nn {
class Module;
}

namespace seednorm::lab {

// Whether our kernels for the CPU compute on this tensor. If not, libtorch's operators do.
bool uses_cpu_kernels(const at::Tensor& t);

// For tests: while one of these lives, tensors on the CPU are computed on as those of other devices are, in
// all threads.
class PlainTensors {
 public:
  PlainTensors();
  ~PlainTensors();
  PlainTensors(const PlainTensors&) = delete;
  PlainTensors& operator=(const PlainTensors&) = delete;
};

// For code that reads the memory of tensors. Errors (std::invalid_argument): one of them is on another device
// than the CPU, for which `operation` has no code. Undefined tensors do not count.
void require_cpu(const char* operation, std::initializer_list<at::Tensor> tensors);

// The device of a model's parameters, all of which are on the same one.
at::Device model_device(const torch::nn::Module& model);

// A table that is no part of any module: it is made on the CPU, and copied once to a device that asks for it.
// The first call for another device than the CPU must not run beside other calls.
class Table {
 public:
  Table() = default;
  explicit Table(at::Tensor values) : values_(std::move(values)) {}
  const at::Tensor& on(at::Device device) const;

 private:
  at::Tensor values_;
  mutable at::Tensor copy_;  // on the other device that asked last
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_DEVICE_H_
