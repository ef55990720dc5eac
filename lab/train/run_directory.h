// The folder of a run: its lock, the settings that it was started with, and the checkpoint to resume from.
//
//   RUN/config.toml      every setting
//   RUN/run.json         what the run measures: its unit and its metrics
//   RUN/metrics.jsonl    see run_log.h
//   RUN/result.json      what the run came to, once it is over; see run_result.h
//   RUN/checkpoints/     see checkpoint.h
#ifndef SEEDNORM_LAB_TRAIN_RUN_DIRECTORY_H_
#define SEEDNORM_LAB_TRAIN_RUN_DIRECTORY_H_

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lab/base/file_lock.h"
#include "lab/report/run_summary.h"

namespace seednorm::lab {

// The settings of a run as text, and a function that compares them with those of an existing run.
struct RunSettings {
  std::string text;  // of config.toml
  // The first setting of another such text that would change the run: "lr: 0.001 there, 0.002 now".
  // Errors (UserError): the text cannot be read; `file` names it.
  std::function<std::optional<std::string>(const std::string& file, const std::string& other)> difference;
};

class RunDirectory {
 public:
  // Creates the folder or opens an existing run, and locks it until destruction. Errors (UserError): the
  // folder is not empty and has no run; it has a run and `resume` is not set; the run was started with other
  // settings; another process has locked it; it has checkpoints but all are damaged.
  RunDirectory(const std::filesystem::path& dir, const RunSettings& settings, bool resume);

  const std::filesystem::path& path() const { return dir_; }
  // The newest intact checkpoint, from which to resume.
  const std::optional<std::filesystem::path>& checkpoint() const { return checkpoint_; }
  // Lines for the user about skipped checkpoints and files that were set aside.
  const std::vector<std::string>& notes() const { return notes_; }
  // Writes run.json if it differs.
  void describe(const RunInfo& info) const;

 private:
  void find_where_to_go_on();
  void set_aside_logs();

  std::filesystem::path dir_;
  FileLock lock_;
  std::optional<std::filesystem::path> checkpoint_;
  std::vector<std::string> notes_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_RUN_DIRECTORY_H_
