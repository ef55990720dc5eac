// One run's folder: config.toml, run.json, metrics.jsonl.
#ifndef SEEDNORM_LAB_REPORT_RUN_FOLDER_H_
#define SEEDNORM_LAB_REPORT_RUN_FOLDER_H_

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lab/report/collect.h"

namespace seednorm::lab {

// An object of a file. If it is missing or damaged: an empty one, and a note that ends with `without`.
nlohmann::ordered_json read_object(const std::filesystem::path& file, const std::string& without,
                                   std::vector<std::string>& notes);

// A run's folder is LABEL-sSEED, with ~ for characters of the label that do not suit a folder's name.
std::pair<std::string, int64_t> split_run_name(const std::string& name);

// A setting of a run's config.toml as it is written there, a line each; empty if there is none.
std::string setting_of(const std::string& config, const std::string& key);

// What run.json says; a language model's run if there is no such file.
RunInfo read_run_info(const std::filesystem::path& dir, std::vector<std::string>& notes);

// The run, summarized from its curves. Metrics that are found are added to `info`.
ReportRun read_run(const std::filesystem::path& dir, const std::string& entrant, int64_t seed, RunInfo& info,
                   std::vector<std::string>& notes);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_REPORT_RUN_FOLDER_H_
