// The CUDA stream on which PyTorch queues work.
#ifndef SEEDNORM_OPS_CURRENT_STREAM_H_
#define SEEDNORM_OPS_CURRENT_STREAM_H_

#include <cstdint>

#include "seednorm/cuda.h"

namespace seednorm::ops {

// The stream of a device. Throws std::runtime_error if PyTorch's library for CUDA is not loaded.
cuda::Stream current_stream(int32_t device_index);

}  // namespace seednorm::ops

#endif  // SEEDNORM_OPS_CURRENT_STREAM_H_
