#include "lab/base/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <system_error>
#include <vector>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kInfix = ".partial-";
constexpr size_t kSuffixSize = 12;

std::string random_suffix() {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  std::random_device random;
  std::string out(kSuffixSize, ' ');
  for (char& c : out) c = kLetters[random() % kLetters.size()];
  return out;
}

// The file to replace: the target of `path` if it is a link, else `path`.
fs::path resolve(const fs::path& path) {
  std::error_code error, ignored;
  const fs::path out = fs::is_symlink(path, ignored) ? fs::weakly_canonical(path, error) : path;
  if (error) fail_with_errno("write", path, error.value());
  const fs::file_status status = fs::status(out, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw UserError(path.string() + ": is not a regular file, so it cannot be replaced; name another file");
  }
  return out;
}

bool is_still_at(const Descriptor& file, const fs::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(file.get(), &open) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

// Creates a file under an unused name, and locks it.
Descriptor create_partial(const fs::path& target, fs::path& name) {
  while (true) {
    name = target;
    name += std::string(kInfix) + random_suffix();
    Descriptor file(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.get() < 0 && errno == EEXIST) continue;
    if (file.get() < 0) fail_with_errno("create", target, errno);
    // Another process may take the file for a stale one until it is locked. A file system without locks has
    // no stale files either, since remove_stale_partials cannot lock them.
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
      if (is_still_at(file, name)) return file;
    }
  }
}

fs::path create_partial_of(const fs::path& target, Descriptor& lock) {
  fs::path name;
  lock = create_partial(target, name);
  return name;
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& target)
    : target_(resolve(target)), file_(create_partial_of(target_, lock_), OutputFile::kExisting) {}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(file_.path().c_str());
}

void AtomicFile::commit() {
  file_.close();
  if (::rename(file_.path().c_str(), target_.c_str()) != 0) fail_with_errno("write", target_, errno);
  committed_ = true;
  sync_folder(target_.parent_path());
}

bool is_partial_name(std::string_view name) {
  const size_t infix = name.rfind(kInfix);
  if (infix == std::string_view::npos || infix == 0) return false;
  const std::string_view suffix = name.substr(infix + kInfix.size());
  const auto all_in = [&](char low, char high) {
    return std::all_of(suffix.begin(), suffix.end(), [&](char c) { return c >= low && c <= high; });
  };
  // Earlier versions used the number of the process.
  return (suffix.size() == kSuffixSize && all_in('a', 'z')) ||
         (!suffix.empty() && suffix.size() <= 10 && all_in('0', '9'));
}

int remove_stale_partials(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_partial_name(it->path().filename().string()) && fs::is_regular_file(it->symlink_status(error))) {
      found.push_back(it->path());
    }
  }
  int removed = 0;
  for (const fs::path& path : found) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file.get() < 0 || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (is_still_at(file, path) && ::unlink(path.c_str()) == 0) ++removed;
  }
  return removed;
}

}  // namespace seednorm::lab
