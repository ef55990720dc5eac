#include "lab/base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "lab/base/atomic_file.h"
#include "lab/base/descriptor.h"
#include "lab/base/error.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::string reason(int error) { return std::generic_category().message(error); }

int open_regular(const fs::path& path, struct stat& info) {
  // A named pipe would block here without O_NONBLOCK.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) throw UserError(path.string() + ": cannot be read: " + reason(errno));
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(file);
    throw UserError(path.string() + ": is not a regular file");
  }
  return file;
}

}  // namespace

void fail_with_errno(std::string_view action, const fs::path& path, int error) {
  std::string what = "cannot " + std::string(action) + " " + path.string() + ": " + reason(error);
  if (error == ENOSPC || error == EDQUOT) what += "; free some space and run the command again";
  throw std::runtime_error(what);
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::path part;
  for (const fs::path& name : path) {
    part /= name;
    if (fs::exists(part, error) && !fs::is_directory(part, error)) {
      throw UserError(path.string() + ": cannot be created, since " + part.string() + " is a file");
    }
  }
  fs::create_directories(path, error);
  if (error) fail_with_errno("create", path, error.value());
}

void refuse_lfs_pointer(std::string_view begin, const std::string& file) {
  if (!begin.starts_with("version https://git-lfs.github.com/spec/")) return;
  throw UserError(file + ": is a git-lfs pointer and not the file itself; fetch it with `git lfs pull`");
}

MappedFile::MappedFile(const fs::path& path) {
  struct stat info {};
  const Descriptor file(open_regular(path, info));
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) fail_with_errno("map", path, errno);
  data_ = static_cast<const char*>(data);
  try {
    refuse_lfs_pointer(bytes(), path.string());
  } catch (...) {
    ::munmap(data, size_);
    throw;
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

InputFile::InputFile(const fs::path& path) : path_(path) {
  struct stat info {};
  file_ = Descriptor(open_regular(path, info));
  size_ = static_cast<size_t>(info.st_size);
  std::string begin(std::min<size_t>(size_, 64), '\0');
  read(0, begin.data(), begin.size());
  refuse_lfs_pointer(begin, path.string());
}

void InputFile::read(size_t offset, char* out, size_t size) const {
  for (size_t done = 0; done < size;) {
    const ssize_t count = ::pread(file_.get(), out + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("read", path_, errno);
    if (count == 0) {
      throw UserError(path_.string() + ": has become shorter while it was in use; it had " +
                      std::to_string(size_) + " bytes");
    }
    done += static_cast<size_t>(count);
  }
}

std::string read_file(const fs::path& path, size_t max_bytes) {
  struct stat info {};
  const Descriptor file(open_regular(path, info));
  const auto size = static_cast<size_t>(info.st_size);
  if (size > max_bytes) {
    throw UserError(path.string() + ": expected a file of at most " + std::to_string(max_bytes) +
                    " bytes, got " + std::to_string(size));
  }
  std::string content(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(file.get(), content.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("read", path, errno);
    if (count == 0) break;  // the file has become shorter meanwhile
    done += static_cast<size_t>(count);
  }
  content.resize(done);
  refuse_lfs_pointer(content, path.string());
  return content;
}

OutputFile::OutputFile(fs::path path)
    : path_(std::move(path)), file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (file_ < 0) fail_with_errno("create", path_, errno);
  buffer_.reserve(kBufferBytes);
}

OutputFile::OutputFile(fs::path path, Existing /*existing*/)
    : path_(std::move(path)), file_(::open(path_.c_str(), O_WRONLY | O_CLOEXEC)) {
  if (file_ < 0) fail_with_errno("open", path_, errno);
  buffer_.reserve(kBufferBytes);
}

OutputFile::~OutputFile() {
  if (file_ >= 0) ::close(file_);
}

void OutputFile::write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  if (buffer_.size() >= kBufferBytes) flush();
}

void OutputFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t count = ::write(file_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("write", path_, errno);
    done += static_cast<size_t>(count);
  }
  buffer_.clear();
}

void OutputFile::close() {
  flush();
  if (::fsync(file_) != 0) fail_with_errno("write", path_, errno);
  if (::close(std::exchange(file_, -1)) != 0) fail_with_errno("write", path_, errno);
}

void replace_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

std::string plain_file_name(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
    out += plain ? c : '~';
  }
  return out;
}

void sync_file(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail_with_errno("open", path, errno);
  if (::fsync(file.get()) != 0) fail_with_errno("write", path, errno);
}

void sync_folder(const fs::path& folder) {
  const fs::path path = folder.empty() ? fs::path(".") : folder;
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0) fail_with_errno("open", path, errno);
  // Some file systems cannot sync folders; nothing more can be done for their renames.
  if (::fsync(file.get()) != 0 && errno != EINVAL && errno != EROFS) fail_with_errno("sync", path, errno);
}

NewFolder::NewFolder(const fs::path& target) : target_(fs::absolute(target).lexically_normal()) {
  if (!target_.has_filename()) target_ = target_.parent_path();  // "out/"
  std::error_code error;
  if (fs::is_symlink(target_, error)) {
    target_ = fs::canonical(target_, error);
    if (error) throw UserError(target.string() + ": is a broken link; name another folder");
  }
  if (fs::exists(target_, error) && !(fs::is_directory(target_, error) && fs::is_empty(target_, error))) {
    throw UserError(target.string() + ": already exists; name a new folder, since nothing is overwritten");
  }
  struct stat info {
  }, parent{};
  if (::stat(target_.c_str(), &info) == 0 && ::stat(target_.parent_path().c_str(), &parent) == 0 &&
      info.st_dev != parent.st_dev) {
    throw UserError(target.string() + ": is a mount point; name a new folder inside of it");
  }
  make_folder(target_.parent_path());
  temporary_ = target_;
  temporary_ += ".partial";
  fs::create_directory(temporary_, error);
  if (error) fail_with_errno("create", temporary_, error.value());
  lock_ = ::open(temporary_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0) fail_with_errno("open", temporary_, errno);
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw UserError(target.string() + ": another process is writing it; wait for it or name another folder");
  }
  for (const auto& entry : fs::directory_iterator(temporary_)) fs::remove_all(entry.path());
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
  ::close(lock_);
}

void NewFolder::commit() {
  sync_folder(temporary_);
  // Renaming replaces an empty folder, and nothing else.
  committed_ = true;  // from here on, nothing removes the result
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    throw std::runtime_error("cannot write " + target_.string() + ": " + reason(errno) +
                             "; the complete result is in " + temporary_.string());
  }
  sync_folder(target_.parent_path());
}

}  // namespace seednorm::lab
