// Counts this program's allocations: linked into a program, it replaces malloc and its kin.
#ifndef SEEDNORM_BENCH_ALLOC_COUNT_H_
#define SEEDNORM_BENCH_ALLOC_COUNT_H_

#include <cstdint>

namespace seednorm::bench {

// Calls of malloc, calloc, realloc, aligned_alloc, memalign and posix_memalign so far, those of operator new
// included; -1 where they are not counted (other C libraries, sanitizers, which have their own malloc).
int64_t count_allocations();

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_ALLOC_COUNT_H_
