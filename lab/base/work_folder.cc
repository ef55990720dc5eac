#include "lab/base/work_folder.h"

#include <string>

#include "lab/base/atomic_file.h"
#include "lab/base/file_lock.h"

namespace seednorm::lab {

namespace fs = std::filesystem;

bool holds_files(const fs::path& dir) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(dir, none)) {
    const std::string name = entry.path().filename().string();
    if (name != FileLock::kFile && !is_partial_name(name)) return true;
  }
  return false;
}

}  // namespace seednorm::lab
