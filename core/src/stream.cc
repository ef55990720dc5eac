#include "core/src/stream.h"

#include <unistd.h>

#include <algorithm>

namespace seednorm {

int64_t stream_threshold_bytes() {
  static const int64_t threshold = [] {
    int64_t bytes = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return std::max<int64_t>(bytes, 1 << 20) * 16;
  }();
  return threshold;
}

int64_t parallel_pieces(int64_t bytes, int num_threads) {
  return bytes > (int64_t{32} << 20) ? int64_t{4} * num_threads : num_threads;
}

}  // namespace seednorm
