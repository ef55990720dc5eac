// The log of a run: metrics.jsonl, and the same numbers for TensorBoard.
#ifndef SEEDNORM_LAB_TRAIN_RUN_LOG_H_
#define SEEDNORM_LAB_TRAIN_RUN_LOG_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace seednorm::lab {

inline constexpr const char* kMetricsFile = "metrics.jsonl";

class RunLog {
 public:
  struct Sizes {  // of the files, in bytes
    int64_t metrics = 0, events = 0;
  };

  // Truncates the files to these sizes, since later steps will be repeated, and appends to them. `unit` is
  // the unit that is counted besides steps: "token". Errors (UserError): a file is shorter.
  RunLog(const std::filesystem::path& dir, const Sizes& sizes, const std::string& unit);

  // Writes a line of metrics.jsonl. TensorBoard's time is the start of the run plus the line's `seconds`, so
  // that pauses do not show and a repeated line is the same. Its numbers are scalars of `step`: "train/loss"
  // and so on, "valid/SET", "tasks/TASK", and "NORM/saturated" and so on. Errors (std::runtime_error): it
  // cannot be written.
  void write(const nlohmann::ordered_json& line);
  Sizes sizes() const;
  // Returns when everything written is on the disk.
  void sync() const;

 private:
  struct File {
    std::filesystem::path path;
    std::ofstream stream;
  };
  static File open(const std::filesystem::path& path, int64_t size);
  static void append(File& file, const std::string& bytes);

  File metrics_, events_;
  std::string units_;   // "tokens"
  double begin_;        // the start of the run, in seconds since 1970
  double seconds_ = 0;  // of training, from the last line
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_LOG_H_
