// Measures how much a copy at the limit of the memory slows down if each line (64 bytes) also has some of the
// work of a row-wise norm: loads that hit the first-level cache (parameters of narrow rows), loads that hit
// the second-level cache (the row read again, parameters of wide rows), multiply-adds (the arithmetic). Uses
// two threads, non-temporal stores, and prefetch 8 KB ahead into the second-level cache.
//
// g++ -O2 -std=c++20 -march=x86-64-v4 experiments/copy_with_work.cc -o /tmp/copy_with_work -pthread
// /tmp/copy_with_work [MB] [rounds]      Needs AVX-512; findings in docs/notes/cpu_kernels.md.
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr size_t kLine = 64, kAheadBytes = 8192;
constexpr size_t kL1Bytes = 16 << 10, kL2Bytes = 512 << 10;  // working sets that stay in L1 and in L2

char *source, *target;
size_t bytes;

// Calls f(0) .. f(kCount - 1) with compile-time indices, so that arrays stay in registers.
template <class F, int... k>
inline __attribute__((always_inline)) void unroll(F f, std::integer_sequence<int, k...>) {
  (f(std::integral_constant<int, k>()), ...);
}

// kL1 and kL2 loads, kFma multiply-adds and kStores ordinary stores (to one line, so they hit L1) for each
// line.
template <int kL1, int kL2, int kFma, int kStores>
void copy(int thread) {
  constexpr int kSums = 16;  // more than the latency of a multiply-add times two per cycle, so no chain waits
  const size_t half = bytes / 2;
  const char* in = source + thread * half;
  char* out = target + thread * half;
  const std::vector<float> storage((kL1Bytes + kL2Bytes) / sizeof(float) + 16 * 16, 1.0F);
  const char* near = reinterpret_cast<const char*>(storage.data());
  const char* far = near + kL1Bytes;
  alignas(64) volatile float sink[16];
  __m512 sum[kSums];
  constexpr auto kAll = std::make_integer_sequence<int, kSums>();
  unroll(
      [&](auto k) __attribute__((always_inline)) { sum[k] = _mm512_setzero_ps(); }, kAll);
  const __m512 factor = _mm512_set1_ps(0.5F);
  size_t l1 = 0, l2 = 0;
  for (size_t i = 0; i < half; i += kLine) {
    _mm_prefetch(in + i + kAheadBytes, _MM_HINT_T1);
    const __m512 line = _mm512_loadu_ps(in + i);
    unroll(
        [&](auto k) __attribute__((always_inline)) {
          sum[k] = _mm512_add_ps(sum[k], _mm512_loadu_ps(near + l1 + k * kLine));
        },
        std::make_integer_sequence<int, kL1>());
    unroll(
        [&](auto k) __attribute__((always_inline)) {
          sum[k] = _mm512_add_ps(sum[k], _mm512_loadu_ps(far + l2 + k * kLine));
        },
        std::make_integer_sequence<int, kL2>());
    unroll(
        [&](auto k) __attribute__((always_inline)) {
          sum[k % kSums] = _mm512_fmadd_ps(line, factor, sum[k % kSums]);
        },
        std::make_integer_sequence<int, kFma>());
    unroll(
        [&](auto) __attribute__((always_inline)) {
          asm volatile("vmovaps %1, %0" : "=m"(sink) : "v"(line));
        },
        std::make_integer_sequence<int, kStores>());
    l1 = (l1 + kL1 * kLine) & (kL1Bytes - 1);
    l2 = (l2 + kL2 * kLine) & (kL2Bytes - 1);
    _mm512_stream_ps(reinterpret_cast<float*>(out + i), line);
  }
  unroll(
      [&](auto k) __attribute__((always_inline)) { sum[0] = _mm512_add_ps(sum[0], sum[k]); }, kAll);
  sink[0] = _mm512_reduce_add_ps(sum[0]);
}

char* allocate(size_t size) {
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) std::exit(1);
  madvise(p, size, MADV_HUGEPAGE);
  std::memset(p, 1, size);
  return static_cast<char*>(p);
}

double seconds(void (*work)(int)) {
  const auto start = std::chrono::steady_clock::now();
  std::thread other(work, 1);
  work(0);
  other.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  bytes = static_cast<size_t>(argc > 1 ? std::atoi(argv[1]) : 256) << 20;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 15;
  source = allocate(bytes + kAheadBytes);
  target = allocate(bytes);
  const std::vector<std::pair<const char*, void (*)(int)>> variants = {
      {"copy", copy<0, 0, 0, 0>},
      {"+ 2 loads from L1", copy<2, 0, 0, 0>},
      {"+ 4 loads from L1", copy<4, 0, 0, 0>},
      {"+ 1 load from L2", copy<0, 1, 0, 0>},
      {"+ 2 loads from L2", copy<0, 2, 0, 0>},
      {"+ 4 loads from L2", copy<0, 4, 0, 0>},
      {"+ 8 multiply-adds", copy<0, 0, 8, 0>},
      {"+ 16 multiply-adds", copy<0, 0, 16, 0>},
      {"+ 24 multiply-adds", copy<0, 0, 24, 0>},
      {"+ 32 multiply-adds", copy<0, 0, 32, 0>},
      {"+ 1 store", copy<0, 0, 0, 1>},
      {"+ 2 stores", copy<0, 0, 0, 2>},
      {"+ 4 stores", copy<0, 0, 0, 4>},
      {"+ 8 stores", copy<0, 0, 0, 8>},
  };
  std::vector<std::vector<double>> times(variants.size());
  for (int round = 0; round <= rounds; ++round) {  // the first does not count
    for (size_t v = 0; v < variants.size(); ++v) {
      const double t = seconds(variants[v].second);
      if (round > 0) times[v].push_back(t);
    }
  }
  double copy_time = 0;
  for (size_t v = 0; v < variants.size(); ++v) {
    std::sort(times[v].begin(), times[v].end());
    const double t = times[v][times[v].size() / 2];
    if (v == 0) copy_time = t;
    std::printf("%-20s %6.1f GB/s  %.3f of the copy\n", variants[v].first,
                2 * static_cast<double>(bytes) / t * 1e-9, copy_time / t);
  }
}
