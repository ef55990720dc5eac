// Decides when to bypass the caches, and into how many pieces to cut a call.
#ifndef SEEDNORM_CORE_SRC_STREAM_H_
#define SEEDNORM_CORE_SRC_STREAM_H_

#include <cstdint>

namespace seednorm {

// The alignment of rows that the non-temporal stores of all targets need (one cache line, one 512-bit
// vector).
constexpr uintptr_t kStreamAlignment = 64;

// A call that moves more bytes than this writes its results past the caches.
int64_t stream_threshold_bytes();

// The number of pieces for a call over `bytes`: one per thread, or more if there is so much work that an idle
// thread at the end would cost more than restarting the pipeline (one block of rows).
int64_t parallel_pieces(int64_t bytes, int num_threads);

}  // namespace seednorm

#endif  // SEEDNORM_CORE_SRC_STREAM_H_
