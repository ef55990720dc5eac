// Folders that one process writes and another may find again after it was killed.
#ifndef SEEDNORM_LAB_BASE_WORK_FOLDER_H_
#define SEEDNORM_LAB_BASE_WORK_FOLDER_H_

#include <filesystem>

namespace seednorm::lab {

// Whether the folder holds anything but a lock and what a killed process left of a file that it was writing.
bool holds_files(const std::filesystem::path& dir);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_WORK_FOLDER_H_
