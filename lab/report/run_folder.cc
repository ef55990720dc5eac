#include "lab/report/run_folder.h"

#include <cctype>
#include <cmath>
#include <sstream>

#include "lab/base/base64.h"
#include "lab/base/file.h"
#include "lab/base/json_field.h"
#include "lab/report/compatibility.h"
#include "lab/report/fields.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Notes = std::vector<std::string>;

constexpr size_t kMaxPictureBytes = 3 << 20;
constexpr size_t kMaxConfigBytes = size_t{1} << 20, kMaxResultsBytes = size_t{1} << 28;

// Fills in the values that results.json would have for a run.
void summarize(ReportRun& run) {
  const Curves& curves = run.curves;
  RunSummary& out = run.summary;
  out.seconds = TrainPoint::kNaN;
  if (!curves.train.empty()) {
    const TrainPoint& last = curves.train.back();
    out.steps = static_cast<int64_t>(last.step);
    out.units = std::isnan(last.units) ? 0 : static_cast<int64_t>(last.units);
    out.seconds = last.seconds;
    out.values.emplace_back(kTrainLoss, last.ema);
  }
  for (const Measured& m : curves.measured) {
    for (const auto& [name, value] : m.values) {
      std::erase_if(out.values, [&name = name](const auto& v) { return v.first == name; });
      out.values.emplace_back(name, value);
    }
  }
  out.diverged = curves.diverged_at.has_value();
  out.diverged_at = curves.diverged_at;
  const bool is_done = !curves.train.empty() && setting_of(run.config, "steps") == std::to_string(out.steps);
  run.state = out.diverged ? RunState::kDiverged : is_done ? RunState::kFinished : RunState::kUnfinished;
}

std::string read_first_batch(const fs::path& dir, Notes& notes) {
  const fs::path file = dir / kFirstBatchFile;
  std::error_code none;
  if (!fs::is_regular_file(file, none)) return "";
  const std::string bytes =
      fs::file_size(file, none) <= kMaxPictureBytes ? read_file(file, kMaxPictureBytes) : "";
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return base64(bytes);
  notes.push_back(file.string() + " was left out: not PNG, or larger than 3 MB.");
  return "";
}

}  // namespace

Json read_object(const fs::path& file, const std::string& without, Notes& notes) {
  std::string why = " is missing";
  if (fs::is_regular_file(file)) {
    const Json json = parse_json_or_null(read_file(file, kMaxResultsBytes));
    if (json.is_object()) return json;
    why = " is damaged";
  }
  notes.push_back(file.string() + why + ": " + without + ".");
  return Json::object();
}

std::string setting_of(const std::string& config, const std::string& key) {
  std::stringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key + " = ")) return line.substr(key.size() + 3);
  }
  return "";
}

std::pair<std::string, int64_t> split_run_name(const std::string& name) {
  const size_t at = name.rfind("-s");
  if (at == std::string::npos || at + 2 == name.size() || name.size() - at > 12) return {name, 0};
  for (size_t i = at + 2; i < name.size(); ++i) {
    if (std::isdigit(static_cast<unsigned char>(name[i])) == 0) return {name, 0};
  }
  return {name.substr(0, at), std::stoll(name.substr(at + 2))};
}

RunInfo read_run_info(const fs::path& dir, Notes& notes) {
  const fs::path file = dir / "run.json";
  if (!fs::exists(file)) return language_run();
  const auto info = run_info(read_object(file, "the run counts as one of a language model", notes));
  return info.value_or(language_run());
}

ReportRun read_run(const fs::path& dir, const std::string& entrant, int64_t seed, RunInfo& info,
                   Notes& notes) {
  ReportRun run;
  run.summary.entrant = entrant;
  run.summary.seed = seed;
  const fs::path config = dir / "config.toml";
  if (fs::is_regular_file(config)) run.config = read_file(config, kMaxConfigBytes);
  if (run.config.empty()) notes.push_back(config.string() + " is missing or empty.");
  run.first_batch = read_first_batch(dir, notes);
  run.curves = read_metrics(dir / "metrics.jsonl", info, notes);
  summarize(run);
  return run;
}

}  // namespace seednorm::lab
