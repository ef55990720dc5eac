// A module that only holds others, for the sake of their names.
#ifndef SEEDNORM_LAB_VISION_NN_HOLDER_H_
#define SEEDNORM_LAB_VISION_NN_HOLDER_H_

#include <torch/nn/module.h>

namespace seednorm::lab {

class ModuleHolder : public torch::nn::Module {};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_HOLDER_H_
