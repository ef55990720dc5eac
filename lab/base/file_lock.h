// A lock that keeps two processes from writing into one folder.
#ifndef SEEDNORM_LAB_BASE_FILE_LOCK_H_
#define SEEDNORM_LAB_BASE_FILE_LOCK_H_

#include <filesystem>
#include <string>

#include "lab/base/descriptor.h"

namespace seednorm::lab {

// Held from construction to destruction. The system releases the lock when its process ends, however it does,
// so a file that a killed process left behind locks nothing. File systems without locks lock nothing either.
class FileLock {
 public:
  static constexpr const char* kFile = "lock";

  // Locks `folder`/lock and creates that file where there is none. Errors (UserError): another process, or
  // another FileLock of this one, holds the lock; the message names its host and process.
  // (std::runtime_error): the file cannot be created.
  explicit FileLock(const std::filesystem::path& folder);
  ~FileLock();  // removes the file
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) = delete;

 private:
  std::filesystem::path path_;
  Descriptor file_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_FILE_LOCK_H_
