#include "bench/limit.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace seednorm::bench {
namespace {

constexpr size_t kPageBytes = 4096;  // hardware prefetchers stop at its end

void copy_memory(const char* a, const char* /*b*/, char* out, size_t bytes) { std::memcpy(out, a, bytes); }

// Two sources, as the compiler makes it.
void plain_xor(const char* a, const char* b, char* out, size_t bytes) {
  for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
    uint64_t x;
    uint64_t y;
    std::memcpy(&x, a + i, sizeof(x));
    std::memcpy(&y, b + i, sizeof(y));
    x ^= y;
    std::memcpy(out + i, &x, sizeof(x));
  }
}

#if defined(__x86_64__)

enum class Ahead { kNone, kL2, kWrite };  // software prefetch: none, sources into L2, destination for writing

// How a loop goes through memory: `lines` neighbouring lines in each of `pages` pages per step.
struct Shape {
  bool non_temporal;
  int pages;
  int lines;
  Ahead ahead;
  int distance;  // of the prefetch, bytes
};

// Out of some hundred shapes, those that won for some size from 1 MiB to 1 GiB a tensor (Sapphire Rapids, two
// threads, gcc 12, November 2026). The differences within a line of this table are mostly 1 or 2%.
// Sources are prefetched into L2 only: a prefetch into L1, like a load, holds one of the few fill buffers of
// L1 until memory answers, and those bound what a core can read (24 GB/s here, 31 by prefetch into L2).
constexpr Shape kShapes[] = {
    {false, 1, 2, Ahead::kNone, 0},     {false, 2, 2, Ahead::kNone, 0},  // in L2 and L3
    {false, 1, 2, Ahead::kWrite, 4096}, {false, 2, 8, Ahead::kWrite, 1024},
    {true, 1, 2, Ahead::kNone, 0},      {true, 2, 2, Ahead::kNone, 0},   // in L3
    {true, 4, 2, Ahead::kNone, 0},      {true, 2, 1, Ahead::kL2, 8192},  // from memory
    {true, 1, 2, Ahead::kL2, 8192},     {true, 2, 4, Ahead::kL2, 8192},
    {true, 2, 1, Ahead::kL2, 16384},    {true, 4, 4, Ahead::kL2, 32768},
};

std::string name_of(const char* target, const Shape& shape) {
  std::string name = std::string(target) + (shape.non_temporal ? " stream " : " store ") +
                     std::to_string(shape.pages) + "x" + std::to_string(shape.lines);
  if (shape.ahead == Ahead::kL2) name += " l2+" + std::to_string(shape.distance);
  if (shape.ahead == Ahead::kWrite) name += " w+" + std::to_string(shape.distance);
  return name;
}

void copy_string(const char* a, const char* /*b*/, char* out, size_t bytes) {
  asm volatile("rep movsb" : "+D"(out), "+S"(a), "+c"(bytes)::"memory");
}

namespace avx512 {
#define SEEDNORM_BENCH_TARGET __attribute__((target("avx512f")))
#define SEEDNORM_BENCH_INLINE SEEDNORM_BENCH_TARGET __attribute__((always_inline)) inline
using Line = __m512i;
SEEDNORM_BENCH_INLINE Line load_line(const char* p) { return _mm512_load_si512(p); }
SEEDNORM_BENCH_INLINE Line xor_lines(Line a, Line b) { return _mm512_xor_si512(a, b); }
SEEDNORM_BENCH_INLINE void store_line(Line v, char* p) { _mm512_store_si512(p, v); }
SEEDNORM_BENCH_INLINE void stream_line(Line v, char* p) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), v);
}
SEEDNORM_BENCH_INLINE void fence() { _mm_sfence(); }
#include "bench/stream-inl.h"
#undef SEEDNORM_BENCH_INLINE
#undef SEEDNORM_BENCH_TARGET
}  // namespace avx512

namespace avx2 {
#define SEEDNORM_BENCH_TARGET __attribute__((target("avx2")))
#define SEEDNORM_BENCH_INLINE SEEDNORM_BENCH_TARGET __attribute__((always_inline)) inline
struct Line {
  __m256i low, high;
};
SEEDNORM_BENCH_INLINE Line load_line(const char* p) {
  const auto* v = reinterpret_cast<const __m256i*>(p);
  return {_mm256_load_si256(v), _mm256_load_si256(v + 1)};
}
SEEDNORM_BENCH_INLINE Line xor_lines(const Line& a, const Line& b) {
  return {_mm256_xor_si256(a.low, b.low), _mm256_xor_si256(a.high, b.high)};
}
SEEDNORM_BENCH_INLINE void store_line(const Line& line, char* p) {
  auto* v = reinterpret_cast<__m256i*>(p);
  _mm256_store_si256(v, line.low);
  _mm256_store_si256(v + 1, line.high);
}
SEEDNORM_BENCH_INLINE void stream_line(const Line& line, char* p) {
  auto* v = reinterpret_cast<__m256i*>(p);
  _mm256_stream_si256(v, line.low);
  _mm256_stream_si256(v + 1, line.high);
}
SEEDNORM_BENCH_INLINE void fence() { _mm_sfence(); }
#include "bench/stream-inl.h"
#undef SEEDNORM_BENCH_INLINE
#undef SEEDNORM_BENCH_TARGET
}  // namespace avx2

template <int kSources>
std::vector<Stream> vector_streams() {
  constexpr auto kAll = std::make_index_sequence<std::size(kShapes)>();
  if (__builtin_cpu_supports("avx512f")) return avx512::list<kSources>("avx512", kAll);
  if (__builtin_cpu_supports("avx2")) return avx2::list<kSources>("avx2", kAll);
  return {};
}

#endif  // x86_64

struct Job {
  const Stream* stream;
  const char* a;
  const char* b;
  char* out;
  size_t bytes;
  size_t part;
};

void move_part(void* arg, int64_t i) {
  const Job& job = *static_cast<const Job*>(arg);
  const size_t begin = static_cast<size_t>(i) * job.part;
  job.stream->move(job.a + begin, job.b + begin, job.out + begin, std::min(job.part, job.bytes - begin));
}

}  // namespace

std::vector<Stream> streams(int num_sources) {
  std::vector<Stream> all;
#if defined(__x86_64__)
  all = num_sources == 1 ? vector_streams<1>() : vector_streams<2>();
  if (num_sources == 1) all.push_back({"rep movsb", true, copy_string});
#endif
  if (num_sources == 1) all.push_back({"memcpy", true, copy_memory});
  if (num_sources == 2) all.push_back({"plain", true, plain_xor});
  return all;
}

void run_stream(const Stream& stream, const void* a, const void* b, void* out, size_t bytes,
                const Executor& executor) {
  constexpr size_t kManyBytes = size_t{16} << 20;  // of one tensor
  const size_t parts = static_cast<size_t>(executor.num_threads) * (bytes > kManyBytes ? 4 : 1);
  // Parts of whole pages, so that no two threads write to one line or share a page.
  const size_t pages = (bytes + kPageBytes - 1) / kPageBytes;
  const size_t part = (pages + parts - 1) / parts * kPageBytes;
  const size_t lines = (bytes + kLineBytes - 1) / kLineBytes;
  const char* second = static_cast<const char*>(b == nullptr ? a : b);
  Job job{&stream, static_cast<const char*>(a), second, static_cast<char*>(out), lines * kLineBytes, part};
  executor.run(executor.self, static_cast<int64_t>((job.bytes + part - 1) / part), move_part, &job);
}

Variant stream_variant(const Stream& stream, const Moved& moved, const Executor& executor) {
  const auto call = [=] { run_stream(stream, moved.a, moved.b, moved.out, moved.bytes, executor); };
  return {stream.name, call, {}};
}

Contest hold_contest(const Moved& moved, const Protocol& protocol, bool caches_count,
                     const Executor& executor) {
  const std::vector<Stream> all = streams(moved.b == nullptr ? 1 : 2);
  std::vector<Variant> variants;
  for (const Stream& stream : all) variants.push_back(stream_variant(stream, moved, executor));
  measure(protocol, &variants);

  // By the best times: in few rounds they are what other processes disturb least.
  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return quantile(variants[a].us, 0) < quantile(variants[b].us, 0); });
  Contest contest;
  size_t cached = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const Stream& stream = all[order[rank]];
    contest.gb_per_s.emplace_back(stream.name, moved.total_bytes() / median(variants[order[rank]].us) * 1e-3);
    if (rank >= 3 && !(caches_count && stream.keeps_in_cache && cached < 2)) continue;
    contest.winners.push_back(stream);
    cached += stream.keeps_in_cache;
  }
  return contest;
}

}  // namespace seednorm::bench
