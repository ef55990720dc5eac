// The benchmark of the normalization layers: `seednorm-bench-norm`, and `seednorm bench norm`.
//
// One configuration is a pass, a dtype, a width and a tensor size. Its variants (each norm, and the fastest
// few ways of moving the same bytes, see limit.h) run one after another, round after round; a figure is the
// median over the rounds, a ratio of two variants the median of the rounds' ratios.
//   In cache: every variant is called three times on the same buffers, untimed twice, so that it finds the
//   caches as it leaves them itself (a non-temporal store leaves its result in memory).
//   Out of cache: one call, on tensors each larger than what the caches were measured to hold.
#ifndef SEEDNORM_BENCH_NORM_BENCH_H_
#define SEEDNORM_BENCH_NORM_BENCH_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace seednorm::bench {

// Allocations of this process so far; -1, or a null function, if they are not counted.
using CountAllocations = int64_t (*)();

// Runs with the arguments after the program's name. Results to `out`; errors to `err`, one line.
// Returns the exit code: 0, 2 for bad arguments, 1 for other failures.
int run_norm_bench(const std::vector<std::string>& args, CountAllocations allocations, std::ostream& out,
                   std::ostream& err);

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_NORM_BENCH_H_
