#include "lab/race/shared_runs.h"

#include <algorithm>

#include "lab/base/atomic_file.h"
#include "lab/base/file.h"
#include "lab/train/run_result.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr const char* kOriginFile = "copied_from";

}  // namespace

std::optional<fs::path> find_equal_run(const std::vector<fs::path>& races, const Recipe& recipe) {
  const std::string settings = to_toml(recipe);
  for (const fs::path& race : races) {
    std::error_code none;
    std::vector<fs::path> runs;
    for (const auto& entry : fs::directory_iterator(race / "runs", none)) runs.push_back(entry.path());
    std::sort(runs.begin(), runs.end());
    for (const fs::path& run : runs) {
      const fs::path config = run / "config.toml";
      if (!fs::is_regular_file(run / kResultFile) || !fs::is_regular_file(config)) continue;
      if (read_file(config, kMaxConfigBytes) == settings) return run;
    }
  }
  return std::nullopt;
}

void copy_run(const fs::path& from, const fs::path& to) {
  const fs::path partial = to.parent_path().parent_path() / ".run-copy";  // not among the runs
  fs::remove_all(partial);
  fs::create_directories(to.parent_path());
  fs::copy(from, partial, fs::copy_options::recursive);
  if (!is_copied(partial)) replace_file(partial / kOriginFile, fs::absolute(from).string() + "\n");
  fs::rename(partial, to);
}

bool is_copied(const fs::path& run) { return fs::exists(run / kOriginFile); }

}  // namespace seednorm::lab
