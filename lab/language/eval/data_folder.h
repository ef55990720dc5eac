// The user's folder of tasks and texts.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_DATA_FOLDER_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_DATA_FOLDER_H_

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "lab/base/json_field.h"

namespace seednorm::lab {

// A line of a JSON Lines file, and its place "FILE:LINE".
using LineReader = std::function<void(const JsonField& line, const std::string& place)>;

class DataFolder {
 public:
  // Errors (UserError): the folder does not exist.
  explicit DataFolder(std::filesystem::path folder);
  // Files in memory, by name: {"piqa.validation.jsonl", content}.
  explicit DataFolder(std::map<std::string, std::string> files) : files_(std::move(files)) {}

  const std::filesystem::path& path() const { return folder_; }

  // Calls `read` for each line of NAME.jsonl, NAME.jsonl.gz or NAME.jsonl.zst, in the folder itself or in its
  // tasks/jsonl. Errors (UserError): the file does not exist or cannot be read; a line is not JSON; the
  // errors of `read`.
  void each_line(const std::string& name, const LineReader& read) const;

 private:
  std::filesystem::path folder_;
  std::map<std::string, std::string> files_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_DATA_FOLDER_H_
