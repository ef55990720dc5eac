// Folders that a process writes, and that another one may find after the first was killed.
#ifndef SEEDNORM_LAB_BASE_WORK_FOLDER_H_
#define SEEDNORM_LAB_BASE_WORK_FOLDER_H_

#include <filesystem>

namespace seednorm::lab {

// Whether the folder holds anything besides a lock and the incomplete files of a killed process.
bool holds_files(const std::filesystem::path& dir);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_WORK_FOLDER_H_
