// Reads the folder of a run: config.toml, run.json, metrics.jsonl.
#ifndef SEEDNORM_LAB_REPORT_RUN_FOLDER_H_
#define SEEDNORM_LAB_REPORT_RUN_FOLDER_H_

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lab/report/collect.h"

namespace seednorm::lab {

// Reads a JSON object from a file. If it is missing or damaged, the result is empty, and a note that ends
// with `without` is added.
nlohmann::ordered_json read_object(const std::filesystem::path& file, const std::string& without,
                                   std::vector<std::string>& notes);

// A run's folder is LABEL-sSEED, with ~ for characters of the label that are not suitable in a folder name.
std::pair<std::string, int64_t> split_run_name(const std::string& name);

// The text of a setting in a run's config.toml, which has a line for each setting; empty if it is missing.
std::string setting_of(const std::string& config, const std::string& key);

// The content of run.json; without this file, the description of a language model's run.
RunInfo read_run_info(const std::filesystem::path& dir, std::vector<std::string>& notes);

// A summary of the run from its curves. Metrics that it finds are added to `info`.
ReportRun read_run(const std::filesystem::path& dir, const std::string& entrant, int64_t seed, RunInfo& info,
                   std::vector<std::string>& notes);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_RUN_FOLDER_H_
