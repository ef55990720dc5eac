#include "lab/train/run_directory.h"

#include <algorithm>

#include "lab/base/atomic_file.h"
#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/work_folder.h"
#include "lab/train/checkpoint.h"
#include "lab/train/event_file.h"
#include "lab/train/run_log.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
constexpr const char* kConfigFile = "config.toml";
constexpr size_t kMaxConfigBytes = size_t{1} << 20;

const fs::path& made(const fs::path& dir) {
  make_folder(dir);
  return dir;
}

// Errors (UserError): the folder is not one that this run may use.
const fs::path& checked(const fs::path& dir, const RunSettings& settings, bool resume) {
  const fs::path config = dir / kConfigFile;
  if (!fs::exists(config)) {
    if (holds_files(dir))
      throw UserError(dir.string() + ": is not empty and has no run; choose another --out");
    return dir;
  }
  if (!resume) {
    throw UserError(dir.string() +
                    ": already has a run; add --resume to continue it, or choose another --out");
  }
  const std::string text = read_file(config, kMaxConfigBytes);
  if (text == settings.text) return dir;
  if (const auto difference = settings.difference(config.string(), text)) {
    throw UserError(config.string() + ": the run was started with other settings (" + *difference +
                    "); resume it with those, or choose another --out");
  }
  return dir;
}

}  // namespace

RunDirectory::RunDirectory(const fs::path& dir, const RunSettings& settings, bool resume)
    : dir_(checked(dir, settings, resume)), lock_(made(dir)) {
  // Checked again, because another process may have started a run before it released the lock.
  (void)checked(dir, settings, resume);
  remove_stale_partials(dir);
  remove_torn_checkpoints(dir);
  find_where_to_go_on();
  if (!fs::exists(dir / kConfigFile)) replace_file(dir / kConfigFile, settings.text);
}

void RunDirectory::find_where_to_go_on() {
  FoundCheckpoint found = find_checkpoint(dir_);
  checkpoint_ = std::move(found.path);
  if (checkpoint_) {
    for (const std::string& line : found.damaged) notes_.push_back("passed over: " + line);
    return;
  }
  if (!found.damaged.empty()) {
    throw UserError(dir_.string() + ": all checkpoints are damaged, so the run cannot be resumed (" +
                    found.damaged[0] + "); choose another --out, or move " + (dir_ / "checkpoints").string() +
                    " away to start again from step 0");
  }
  set_aside_logs();
}

// Sets aside logs of steps that no checkpoint contains. The steps will be repeated, but their old logs belong
// to the user.
void RunDirectory::set_aside_logs() {
  for (const char* name : {kMetricsFile, kEventFile}) {
    const fs::path file = dir_ / name;
    if (!fs::exists(file) || fs::file_size(file) == 0) continue;
    fs::path kept;
    for (int i = 1; kept.empty() || fs::exists(kept); ++i)
      kept = dir_ / ("before-" + std::to_string(i) + "." + name);
    fs::rename(file, kept);
    notes_.push_back("there is no checkpoint, so the run begins again; its old " + std::string(name) +
                     " is now " + kept.filename().string());
  }
}

void RunDirectory::describe(const RunInfo& info) const {
  const fs::path file = dir_ / "run.json";
  const std::string text = run_info_json(info).dump(1) + "\n";
  if (!fs::exists(file) || read_file(file, kMaxConfigBytes) != text) replace_file(file, text);
}

}  // namespace seednorm::lab
