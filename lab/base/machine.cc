#include "lab/base/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#include "lab/base/error.h"
#include "lab/base/progress.h"

namespace seednorm::lab {
namespace {

// The text after the key and the separator in the first such line of a file; empty if no line has the key.
std::string value_in(const char* file, const std::string& key, char separator) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const size_t at = line.find(separator);
    const size_t begin = at == std::string::npos ? at : line.find_first_not_of(" \t\"", at + 1);
    if (begin == std::string::npos) return "";
    return line.substr(begin, line.find_last_not_of(" \t\"") + 1 - begin);
  }
  return "";
}

std::string compiler() {
#if defined(__clang__)
  return "Clang " + std::string(__clang_version__);
#else
  return "GCC " + std::string(__VERSION__);
#endif
}

}  // namespace

nlohmann::ordered_json machine() {
  nlohmann::ordered_json out;
  const std::string cpu = value_in("/proc/cpuinfo", "model name", ':');
  if (!cpu.empty()) out["cpu"] = cpu;
  if (const unsigned cores = std::thread::hardware_concurrency(); cores > 0) out["cores"] = cores;
  const std::string memory = value_in("/proc/meminfo", "MemTotal", ':');  // "16265344 kB"
  if (!memory.empty()) out["memory_gib"] = std::round(std::strtod(memory.c_str(), nullptr) / 104857.6) / 10;
  const std::string os = value_in("/etc/os-release", "PRETTY_NAME", '=');
  if (!os.empty()) out["os"] = os;
  if (utsname name{}; ::uname(&name) == 0) {
    out["kernel"] = std::string(name.sysname) + " " + name.release + " " + name.machine;
  }
  out["compiler"] = compiler();
  return out;
}

void refuse_more_than_memory(double bytes, const std::string& what) {
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (bytes <= memory) return;
  throw UserError(what + ": needs about " + with_unit(bytes) + "B, this machine has " + with_unit(memory) +
                  "B; choose a smaller model");
}

}  // namespace seednorm::lab
