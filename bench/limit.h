// What the memory of this machine can do: the bytes of a norm moved with no arithmetic worth the name.
//
// Goals are fractions of this, so it has to be the best there is: the instruction set, ordinary or
// non-temporal stores, prefetch and interleave are tried out (hold_contest), not assumed.
#ifndef SEEDNORM_BENCH_LIMIT_H_
#define SEEDNORM_BENCH_LIMIT_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "bench/timing.h"
#include "seednorm/parallel.h"

namespace seednorm::bench {

// One way of moving: out = a (forward), or out = a xor b (backward).
struct Stream {
  std::string name;
  bool keeps_in_cache;  // ordinary stores: a consumer finds the result in the cache
  // `bytes` is a multiple of kLineBytes, pointers are aligned to it; b is not read with one source.
  void (*move)(const char* a, const char* b, char* out, size_t bytes);
};

constexpr size_t kLineBytes = 64;  // a cache line, a 512-bit vector

// Every way this processor has.
std::vector<Stream> streams(int num_sources);

// Moves `bytes`, rounded up to lines, in contiguous parts over the executor: one part a thread, four where
// there is so much work that an idle thread at the end would show. The library cuts its rows likewise.
void run_stream(const Stream& stream, const void* a, const void* b, void* out, size_t bytes,
                const Executor& executor);

// What is moved where.
struct Moved {
  const void* a;
  const void* b;  // null: one source
  void* out;
  size_t bytes;  // of one tensor

  double total_bytes() const { return static_cast<double>(bytes) * (b == nullptr ? 2 : 3); }
};
Variant stream_variant(const Stream& stream, const Moved& moved, const Executor& executor);

struct Contest {
  // The three fastest streams, then, if the caches count, the two fastest that keep their results there:
  // which one is the limit is decided among them in the rounds of the measurement itself.
  std::vector<Stream> winners;
  std::vector<std::pair<std::string, double>> gb_per_s;  // of all, fastest first; medians
};
Contest hold_contest(const Moved& moved, const Protocol& protocol, bool caches_count,
                     const Executor& executor);

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_LIMIT_H_
