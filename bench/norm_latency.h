// One row at a time, as a decoder normalizes a token: what a call costs, and whether it allocates.
#ifndef SEEDNORM_BENCH_NORM_LATENCY_H_
#define SEEDNORM_BENCH_NORM_LATENCY_H_

#include <cstdint>
#include <vector>

#include "bench/norm_options.h"
#include "bench/norm_report.h"
#include "bench/timing.h"
#include "seednorm/parallel.h"

namespace seednorm::bench {

constexpr int64_t kLatencyCols = 1536;

// Forward of one float32 row, in every round `calls` calls of each norm (whose heads divide the width).
// `allocations` as in norm_bench.h.
std::vector<LatencyResult> measure_latency(const NormOptions& options, int calls, const Executor& executor,
                                           int64_t (*allocations)());

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_NORM_LATENCY_H_
