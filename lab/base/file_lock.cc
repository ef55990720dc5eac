#include "lab/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "lab/base/error.h"
#include "lab/base/file.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

std::string this_process() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return "process " + std::to_string(::getpid()) + " on " + (host[0] == '\0' ? "this host" : host.data());
}

// The description that the holder has written into the file, unless it has not done so yet.
std::string holder(int file) {
  std::array<char, 400> text{};
  const ssize_t size = ::pread(file, text.data(), text.size(), 0);
  if (size <= 0) return "another process";
  const std::string line(text.data(), static_cast<size_t>(size));
  const std::string quoted = quote(line.substr(0, line.find('\n')), 300);
  return quoted.substr(1, quoted.size() - 2);
}

bool is_still_at(int file, const fs::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(file, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

}  // namespace

FileLock::FileLock(const fs::path& folder) : path_(folder / kFile) {
  while (true) {
    file_ = Descriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (file_.get() < 0) fail_with_errno("create", path_, errno);
    is_effective_ = ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0;
    if (!is_effective_ && errno == EWOULDBLOCK) {
      throw InUse(folder.string() + ": is in use by " + holder(file_.get()) +
                  "; wait until it ends, or choose another folder");
    }
    // Its last holder may have removed the file between the two calls.
    if (is_still_at(file_.get(), path_)) break;
  }
  const std::string text = this_process() + "\n";
  if (::ftruncate(file_.get(), 0) != 0 ||
      ::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    fail_with_errno("write", path_, errno);
  }
}

FileLock::~FileLock() {
  if (file_.get() >= 0) ::unlink(path_.c_str());
}

}  // namespace seednorm::lab
