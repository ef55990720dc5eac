#include "bench/cache.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "bench/machine.h"
#include "bench/timing.h"

namespace seednorm::bench {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kMostMb = 512;

struct Job {
  char* data;
  int64_t part;  // bytes of a thread
};

void write_part(void* arg, int64_t i) {
  const Job& job = *static_cast<const Job*>(arg);
  std::memset(job.data + i * job.part, 1, job.part);
}

void read_part(void* arg, int64_t i) {
  const Job& job = *static_cast<const Job*>(arg);
  const char* const data = job.data + i * job.part;
  uint64_t sums[8] = {};
  for (int64_t at = 0; at + 64 <= job.part; at += 64) {
    uint64_t line[8];
    std::memcpy(line, data + at, sizeof(line));
    for (int k = 0; k < 8; ++k) sums[k] ^= line[k];
  }
  volatile uint64_t sink = 0;
  for (uint64_t sum : sums) sink = sink ^ sum;
}

}  // namespace

std::vector<ReadSpeed> measure_reading(const Executor& executor) {
  Buffer buffer(kMostMb * kMiB);
  const auto run = [&](int64_t mb, void (*task)(void*, int64_t)) {
    Job job{buffer.data(), mb * kMiB / executor.num_threads};
    executor.run(executor.self, executor.num_threads, task, &job);
  };
  run(kMostMb, write_part);
  std::vector<ReadSpeed> curve;
  for (int64_t mb = 1; mb <= kMostMb; mb *= 2) {
    std::vector<Variant> read = {{"read", [&] { run(mb, read_part); }, {}}};
    measure({.rounds = 7, .seconds = 0, .warmups = 1}, &read);
    // The best time: others on the machine can only make it longer.
    curve.push_back({mb, static_cast<double>(mb * kMiB) / quantile(read[0].us, 0) * 1e-3});
  }
  return curve;
}

int64_t cache_mb(const std::vector<ReadSpeed>& curve) {
  constexpr double kFaster = 1.25;
  int64_t mb = 0;
  for (const ReadSpeed& point : curve) {
    if (point.gb_per_s > kFaster * curve.back().gb_per_s) mb = std::max(mb, point.mb);
  }
  return mb;
}

}  // namespace seednorm::bench
