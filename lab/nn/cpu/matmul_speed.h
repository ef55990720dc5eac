// The speed of matrix products on this machine, with which the speed of training steps is compared.
#ifndef SEEDNORM_LAB_NN_CPU_MATMUL_SPEED_H_
#define SEEDNORM_LAB_NN_CPU_MATMUL_SPEED_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// Floating-point operations per second of large products in this dtype with libtorch's threads. Takes the
// best of a few measurements, and less than a tenth of a second on two cores.
double matmul_flops_per_s(at::ScalarType dtype);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_MATMUL_SPEED_H_
