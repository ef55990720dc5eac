// The core's kernels of norms on tensors, with gradients.
#ifndef SEEDNORM_LAB_NN_NORM_KERNELS_H_
#define SEEDNORM_LAB_NN_NORM_KERNELS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <optional>
#include <utility>

#include "lab/nn/norm_formula.h"
#include "seednorm/norm.h"

namespace seednorm::lab {

// Whether the core has kernels of this norm for the device of x: those for the CPU, and in a build with
// SEEDNORM_BUILD_CUDA those for NVIDIA GPUs.
bool has_norm_kernels(const Norm& norm, const at::Tensor& x);

// {norm(x), undefined}, or with a residual {norm(x + residual), x + residual}; all tensors are on x's device.
// The norm must outlive backward.
std::pair<at::Tensor, at::Tensor> norm_by_kernels(const Norm& norm, const at::Tensor& x,
                                                  const at::Tensor& residual,
                                                  const ParamSet<at::Tensor>& params,
                                                  const std::optional<DropoutDraws>& dropout);

// The executor over libtorch's own threads.
Executor torch_executor();

// The kernels for one kind of device.
struct NormRunner {
  size_t (*scratch_bytes)(const Norm& norm, int64_t rows, DType dtype);
  void (*forward)(const Norm& norm, const ForwardArgs& args, at::Device device);
  void (*backward)(const Norm& norm, const BackwardArgs& args, at::Device device);
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_NORM_KERNELS_H_
