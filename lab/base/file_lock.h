// A lock that keeps two processes from writing into one folder.
#ifndef SEEDNORM_LAB_BASE_FILE_LOCK_H_
#define SEEDNORM_LAB_BASE_FILE_LOCK_H_

#include <filesystem>
#include <string>

#include "lab/base/descriptor.h"
#include "lab/base/error.h"

namespace seednorm::lab {

// Another process holds the lock.
class InUse : public UserError {
 public:
  using UserError::UserError;
};

// The lock is held from construction to destruction. The system releases it when the process ends, in
// whatever way, so that the file of a killed process locks nothing. On file systems without locks it has no
// effect.
class FileLock {
 public:
  static constexpr const char* kFile = "lock";

  // Locks `folder`/lock, which it creates if necessary. Errors (InUse): another process, or
  // another FileLock of this one, holds the lock; the message names its host and process.
  // (std::runtime_error): the file cannot be created.
  explicit FileLock(const std::filesystem::path& folder);
  ~FileLock();  // removes the file

  // False on a file system without locks, where nothing keeps other processes away.
  bool is_effective() const { return is_effective_; }
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) = delete;

 private:
  std::filesystem::path path_;
  Descriptor file_;
  bool is_effective_ = true;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_FILE_LOCK_H_
