// What matrix products reach on this machine: the measure of a training step's speed.
#ifndef SEEDNORM_LAB_NN_CPU_MATMUL_SPEED_H_
#define SEEDNORM_LAB_NN_CPU_MATMUL_SPEED_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// Floating point operations a second of large products in this dtype with libtorch's threads; the best of a
// few, in less than a tenth of a second on two cores.
double matmul_flops_per_s(at::ScalarType dtype);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_MATMUL_SPEED_H_
