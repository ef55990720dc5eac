// Models on libtorch's meta device, whose tensors have shapes and no numbers: a step there fails where a
// tensor was made on the CPU by mistake, and where a number is needed on the host.
#ifndef SEEDNORM_TESTS_LAB_META_DEVICE_H_
#define SEEDNORM_TESTS_LAB_META_DEVICE_H_

#include <torch/nn/module.h>

namespace seednorm::lab {

// Moves parameters and buffers, as module.to(device) does for devices with numbers. The parameters must not
// have gradients yet.
void move_to_meta(torch::nn::Module& module);

}  // namespace seednorm::lab

#endif  // SEEDNORM_TESTS_LAB_META_DEVICE_H_
