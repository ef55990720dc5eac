// The folder of a run: who may write it, the settings that it was begun with, and where it goes on.
//
//   RUN/config.toml      every setting
//   RUN/run.json         what the run measures: its unit and its metrics
//   RUN/metrics.jsonl    see run_log.h
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

// The settings of a run as text, and how they are compared with those of a run that was begun.
struct RunSettings {
  std::string text;  // of config.toml
  // What a run with the settings of another such text would do otherwise: "lr: 0.001 there, 0.002 now".
  // Errors (UserError): the text cannot be read; `file` names it.
  std::function<std::optional<std::string>(const std::string& file, const std::string& other)> difference;
};

class RunDirectory {
 public:
  // Makes the folder, or opens a run that is there. Holds it until destroyed: no other process can. Errors
  // (UserError): the folder is not empty and holds no run; it holds one and `resume` is not set, or one
  // that was begun with other settings; another process has it; it has checkpoints and none is whole.
  RunDirectory(const std::filesystem::path& dir, const RunSettings& settings, bool resume);

  const std::filesystem::path& path() const { return dir_; }
  // The newest whole checkpoint of a run to go on with.
  const std::optional<std::filesystem::path>& checkpoint() const { return checkpoint_; }
  // Lines for the user: checkpoints that were passed over, files that were set aside.
  const std::vector<std::string>& notes() const { return notes_; }
  // run.json; written only if it differs.
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
