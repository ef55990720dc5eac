// What a run tells about itself while it goes: metrics.jsonl, and the same numbers for TensorBoard.
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

  // Truncates the files to these sizes, since later steps will be taken again, and appends. `unit` names
  // what is counted beside steps: "token". Errors (UserError): a file is shorter.
  RunLog(const std::filesystem::path& dir, const Sizes& sizes, const std::string& unit);

  // A line of metrics.jsonl. TensorBoard's time is the start of the run plus the line's `seconds`, so that
  // pauses do not show and a line written again is the same. Its numbers are scalars of `step`: "train/loss"
  // and so on, "valid/SET", "tasks/TASK", and "NORM/saturated" and so on. Errors (std::runtime_error): it
  // cannot be written.
  void write(const nlohmann::ordered_json& line);
  Sizes sizes() const;
  // Returns once all that was written is on the disk.
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
  double begin_;        // when the run began, in seconds since 1970
  double seconds_ = 0;  // trained, by the last line
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_LOG_H_
