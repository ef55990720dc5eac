// Decides when to bypass the caches, and into how many pieces to cut a call.
#ifndef SEEDNORM_CORE_SRC_STREAM_H_
#define SEEDNORM_CORE_SRC_STREAM_H_

#include <cstdint>

namespace seednorm {

// Alignment of rows that non-temporal stores of every target need (one cache line, one 512-bit vector).
constexpr uintptr_t kStreamAlignment = 64;

// A call that moves more bytes than this writes its results past the caches.
int64_t stream_threshold_bytes();

// Pieces for a call over `bytes`: one per thread, or more when there is so much work that an idle thread at
// the end would show and a restart of the pipeline (one block of rows) would not.
int64_t parallel_pieces(int64_t bytes, int num_threads);

}  // namespace seednorm

#endif  // SEEDNORM_CORE_SRC_STREAM_H_
