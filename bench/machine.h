// The machine a benchmark runs on: what it is, memory to measure in, threads that stay where they are.
#ifndef SEEDNORM_BENCH_MACHINE_H_
#define SEEDNORM_BENCH_MACHINE_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "seednorm/parallel.h"

namespace seednorm::bench {

struct Cache {
  int level;
  std::string type;  // "Data", "Instruction", "Unified"
  int64_t bytes;
  std::string cpus;  // that share it, "0-1"
};
std::vector<Cache> caches();       // of the first processor; empty where the system does not say
int64_t last_level_cache_bytes();  // 0: unknown

// Processor, caches, memory, system, compiler, SIMD target, source version, date.
nlohmann::ordered_json describe_machine();

// Memory for a tensor: starts on a 2 MiB boundary and asks for huge pages; not touched yet.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer& operator=(Buffer&&) = delete;

  char* data() { return data_; }
  const char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  char* data_ = nullptr;
  size_t bytes_ = 0;
};

// Ties each thread of the executor to a processor of its own; the processors, or nothing if it could not
// be done (fewer processors than threads, another system).
std::vector<int> pin_threads(const Executor& executor);

// From now on the calling thread, and the threads that it starts, run on the first `count` of the processors
// that they may use. Throws std::invalid_argument if there are fewer; does nothing on other systems than
// Linux.
void limit_processors(int count);

// What it costs to have all threads of the executor at work and to wait for them, in microseconds: the median
// over calls that follow each other closely, with one thread 20 us behind, as real calls have it.
double fork_join_us(const Executor& executor);

// Share of all processors' time, since construction, that went to others: other processes, other guests
// of the host. A measurement is worth what this is small.
class OtherLoad {
 public:
  OtherLoad();
  double others_percent() const;  // other processes on this system
  double stolen_percent() const;  // other guests of the host

 private:
  struct Times {
    double wall = 0, busy = 0, stolen = 0, own = 0;  // seconds
  };
  static Times now();
  Times start_;
};

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_MACHINE_H_
