#include "bench/machine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <new>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#endif

#include "bench/source_version.h"
#include "bench/timing.h"
#include "seednorm/simd.h"
#include "seednorm/version.h"

namespace seednorm::bench {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

// First line of a file, "" if there is none.
std::string read_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// Value of the first "key : value" line, as /proc/cpuinfo and /proc/meminfo have them.
std::string proc_value(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t colon = line.find(':');
    const size_t value = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (value != std::string::npos) return line.substr(value);
  }
  return "";
}

// "48K", "2048K", "1M" as /sys writes sizes.
int64_t parse_size(const std::string& text) {
  const int64_t number = std::strtoll(text.c_str(), nullptr, 10);
  const char unit = text.empty() ? ' ' : text.back();
  return unit == 'K' ? number << 10 : unit == 'M' ? number << 20 : number;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string compiler() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#elif defined(__GNUC__)
  return std::string("gcc ") + __VERSION__;
#else
  return "unknown";
#endif
}

}  // namespace

std::vector<Cache> caches() {
  std::vector<Cache> all;
  for (int i = 0;; ++i) {
    const std::string dir = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    const std::string level = read_line(dir + "level");
    if (level.empty()) return all;
    all.push_back({std::atoi(level.c_str()), read_line(dir + "type"), parse_size(read_line(dir + "size")),
                   read_line(dir + "shared_cpu_list")});
  }
}

int64_t last_level_cache_bytes() {
  int64_t bytes = 0;
  for (const Cache& cache : caches()) bytes = std::max(bytes, cache.bytes);
  return bytes;
}

nlohmann::ordered_json describe_machine() {
  nlohmann::ordered_json j;
  j["cpu"] = proc_value("/proc/cpuinfo", "model name");
  j["cpu_family_model_stepping"] = proc_value("/proc/cpuinfo", "cpu family") + "/" +
                                   proc_value("/proc/cpuinfo", "model\t") + "/" +
                                   proc_value("/proc/cpuinfo", "stepping");
  j["processors"] = std::thread::hardware_concurrency();
  j["caches"] = nlohmann::ordered_json::array();
  for (const Cache& c : caches()) {
    j["caches"].push_back({{"level", c.level}, {"type", c.type}, {"bytes", c.bytes}, {"cpus", c.cpus}});
  }
  j["memory"] = proc_value("/proc/meminfo", "MemTotal");
  j["huge_pages"] = read_line("/sys/kernel/mm/transparent_hugepage/enabled");
#if defined(__linux__)
  utsname name{};
  if (uname(&name) == 0) j["system"] = std::string(name.sysname) + " " + name.release + " " + name.machine;
#endif
  j["simd_target"] = simd_target();
  j["simd_targets"] = simd_targets();
  j["compiler"] = compiler();
  j["version"] = SEEDNORM_VERSION;
  j["commit"] = kSourceVersion;
  j["date"] = utc_now();
  return j;
}

Buffer::Buffer(size_t bytes) : bytes_((bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes) {
  data_ = static_cast<char*>(std::aligned_alloc(kHugePageBytes, bytes_));
  if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  madvise(data_, bytes_, MADV_HUGEPAGE);  // where it is refused the pages are small, and still right
#endif
}

Buffer::~Buffer() { std::free(data_); }

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

#if defined(__linux__)

namespace {

std::vector<int> allowed_processors() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return {};
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace

void limit_processors(int count) {
  const std::vector<int> cpus = allowed_processors();
  if (static_cast<int>(cpus.size()) < count) {
    throw std::invalid_argument("--threads: expected at most the processors that the program may use, " +
                                std::to_string(cpus.size()) + ", got " + std::to_string(count));
  }
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  for (int i = 0; i < count; ++i) CPU_SET(cpus[i], &chosen);
  sched_setaffinity(0, sizeof(chosen), &chosen);
  setenv("OMP_NUM_THREADS", std::to_string(count).c_str(), 1);  // for libraries that use OpenMP
}

std::vector<int> pin_threads(const Executor& executor) {
  std::vector<int> cpus = allowed_processors();
  const int threads = executor.num_threads;
  if (static_cast<int>(cpus.size()) < threads) return {};
  cpus.resize(threads);

  // One task a thread: each waits until all have begun, so no thread can take two.
  struct Meeting {
    const std::vector<int>& cpus;
    std::atomic<int> begun{0};
    std::atomic<int> pinned{0};
  } meeting{cpus};
  executor.run(
      executor.self, threads,
      [](void* arg, int64_t /*i*/) {
        Meeting& m = *static_cast<Meeting*>(arg);
        const int mine = m.begun.fetch_add(1);
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(m.cpus[mine], &one);
        if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0) m.pinned.fetch_add(1);
        const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(2);
        while (m.begun.load() < static_cast<int>(m.cpus.size()) &&
               std::chrono::steady_clock::now() < give_up) {
          std::this_thread::yield();
        }
      },
      &meeting);
  return meeting.pinned.load() == threads ? cpus : std::vector<int>{};
}

OtherLoad::Times OtherLoad::now() {
  Times t;
  t.wall = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  // cpu user nice system idle iowait irq softirq steal, in ticks, over all processors
  std::istringstream line(read_line("/proc/stat"));
  std::string cpu;
  double ticks[8] = {};
  line >> cpu;
  for (double& tick : ticks) line >> tick;
  const double hz = static_cast<double>(sysconf(_SC_CLK_TCK));
  t.busy = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / hz;
  t.stolen = ticks[7] / hz;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  t.own = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
          static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  return t;
}

#else

void limit_processors(int /*count*/) {}
std::vector<int> pin_threads(const Executor& /*executor*/) { return {}; }
OtherLoad::Times OtherLoad::now() { return {}; }

#endif

double fork_join_us(const Executor& executor) {
  static constexpr double kLateUs = 20;
  struct Meeting {
    int threads;
    std::atomic<int> begun{0};
  } meeting{executor.num_threads};
  const auto call = [&] {
    meeting.begun = 0;
    executor.run(
        executor.self, executor.num_threads,
        [](void* arg, int64_t /*i*/) {
          Meeting& m = *static_cast<Meeting*>(arg);
          const bool last = m.begun.fetch_add(1) + 1 == m.threads;
          const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
          while (m.begun.load() < m.threads && std::chrono::steady_clock::now() < give_up) continue;
          const auto end =
              std::chrono::steady_clock::now() + std::chrono::duration<double, std::micro>(kLateUs);
          while (last && std::chrono::steady_clock::now() < end) continue;
        },
        &meeting);
  };
  std::vector<Variant> variants = {{"fork and join", call, {}}};
  measure({.rounds = 50, .seconds = 0, .warmups = 1}, &variants);
  return std::max(0.0, median(variants[0].us) - kLateUs);
}

OtherLoad::OtherLoad() : start_(now()) {}

double OtherLoad::others_percent() const {
  const Times t = now();
  const double all = (t.wall - start_.wall) * std::max(1u, std::thread::hardware_concurrency());
  return all > 0 ? std::max(0.0, 100 * (t.busy - start_.busy - (t.own - start_.own)) / all) : 0;
}

double OtherLoad::stolen_percent() const {
  const Times t = now();
  const double all = (t.wall - start_.wall) * std::max(1u, std::thread::hardware_concurrency());
  return all > 0 ? 100 * (t.stolen - start_.stolen) / all : 0;
}

}  // namespace seednorm::bench
