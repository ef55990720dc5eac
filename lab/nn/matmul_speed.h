// The speed of matrix products on a device, with which the speed of training steps is compared.
#ifndef SEEDNORM_LAB_NN_MATMUL_SPEED_H_
#define SEEDNORM_LAB_NN_MATMUL_SPEED_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// Floating-point operations per second of large products of activations in `dtype`, in the dtype and with the
// threads that are used on this device. Takes the best of a few measurements, and less than a tenth of a
// second on two cores.
double matmul_flops_per_s(at::ScalarType dtype, at::Device device = at::kCPU);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_MATMUL_SPEED_H_
