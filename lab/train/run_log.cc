#include "lab/train/run_log.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/train/event_file.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Scalars = std::vector<std::pair<std::string, double>>;

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void add_scalars(const nlohmann::ordered_json& numbers, const std::string& prefix, Scalars* out) {
  for (const auto& [name, value] : numbers.items()) {
    if (value.is_number()) out->emplace_back(prefix + name, value.get<double>());
  }
}

Scalars scalars_of(const nlohmann::ordered_json& line, const std::string& units) {
  Scalars out;
  nlohmann::ordered_json numbers = line;
  for (const std::string& axis : {std::string("step"), units, std::string("seconds")}) numbers.erase(axis);
  add_scalars(numbers, "train/", &out);
  if (line.contains("valid")) add_scalars(line["valid"], "valid/", &out);
  if (line.contains("tasks")) add_scalars(line["tasks"], "tasks/", &out);
  if (line.contains("metrics") && !line.contains("valid") && !line.contains("tasks")) {
    add_scalars(line["metrics"], "eval/", &out);
  }
  if (line.contains("norms")) {
    for (const auto& [norm, stats] : line["norms"].items()) add_scalars(stats, norm + "/", &out);
  }
  return out;
}

}  // namespace

RunLog::RunLog(const fs::path& dir, const Sizes& sizes, const std::string& unit)
    : metrics_(open(dir / kMetricsFile, sizes.metrics)),
      events_(open(dir / kEventFile, sizes.events)),
      units_(unit + "s") {
  if (sizes.events == 0) {
    begin_ = wall_time();
    append(events_, event_file_begin(begin_));
  } else {
    std::ifstream file(events_.path, std::ios::binary);
    std::string head(kEventHeadBytes, '\0');
    file.read(head.data(), static_cast<std::streamsize>(head.size()));
    begin_ = event_time(head);
  }
}

RunLog::File RunLog::open(const fs::path& path, int64_t size) {
  const int64_t present = fs::exists(path) ? static_cast<int64_t>(fs::file_size(path)) : 0;
  if (present < size) {
    throw UserError(path.string() + ": " + std::to_string(present) + " bytes, but had " +
                    std::to_string(size) +
                    " when the checkpoint was written; restore it, or start again in another --out");
  }
  if (present > size) fs::resize_file(path, static_cast<uintmax_t>(size));
  return {path, std::ofstream(path, std::ios::app | std::ios::binary)};
}

void RunLog::append(File& file, const std::string& bytes) {
  file.stream << bytes << std::flush;
  if (!file.stream) throw std::runtime_error("cannot write " + file.path.string() + "; is the disk full?");
}

void RunLog::write(const nlohmann::ordered_json& line) {
  append(metrics_, line.dump() + "\n");
  seconds_ = line.value("seconds", seconds_);
  append(events_, event_record(begin_ + seconds_, line.at("step").get<int64_t>(), scalars_of(line, units_)));
}

void RunLog::sync() const {
  for (const File* file : {&metrics_, &events_}) sync_file(file->path);
}

RunLog::Sizes RunLog::sizes() const {
  return {.metrics = static_cast<int64_t>(fs::file_size(metrics_.path)),
          .events = static_cast<int64_t>(fs::file_size(events_.path))};
}

}  // namespace seednorm::lab
