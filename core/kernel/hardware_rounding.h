// Whether kernels let the processor round float32 to bfloat16.
#ifndef SEEDNORM_CORE_KERNEL_HARDWARE_ROUNDING_H_
#define SEEDNORM_CORE_KERNEL_HARDWARE_ROUNDING_H_

namespace seednorm {

// True if the target in use is one whose name ends in "_BF16" (seednorm/simd.h).
bool rounds_in_hardware();

}  // namespace seednorm

#endif  // SEEDNORM_CORE_KERNEL_HARDWARE_ROUNDING_H_
