// What the caches hold for these threads, found by reading: the size on the label may be shared with other
// guests of the machine.
#ifndef SEEDNORM_BENCH_CACHE_H_
#define SEEDNORM_BENCH_CACHE_H_

#include <cstdint>
#include <vector>

#include "seednorm/parallel.h"

namespace seednorm::bench {

struct ReadSpeed {
  int64_t mb;  // MiB read again and again
  double gb_per_s;
};

// For 1, 2, 4 .. 512 MiB, each thread its own part.
std::vector<ReadSpeed> measure_reading(const Executor& executor);

// The largest size that is read clearly faster than the largest of all, which comes from memory.
int64_t cache_mb(const std::vector<ReadSpeed>& curve);

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_CACHE_H_
