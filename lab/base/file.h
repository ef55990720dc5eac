// Files: mapped for reading, and written so that a reader never meets half of one.
#ifndef SEEDNORM_LAB_BASE_FILE_H_
#define SEEDNORM_LAB_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lab/base/descriptor.h"

namespace seednorm::lab {

// A file's bytes, mapped and not read. Throws UserError if it is missing, no regular file, not readable, or
// the pointer that git-lfs keeps in place of a large file.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// A file that is read at any place, by any thread. Unlike a mapping, which ends the program when its file
// becomes shorter or its disk goes away, reading then throws.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);  // throws as MappedFile does

  size_t size() const { return size_; }
  // Bytes offset .. offset + size - 1, which must lie in the file. Throws UserError if it has become shorter.
  void read(size_t offset, char* out, size_t size) const;

 private:
  std::filesystem::path path_;
  Descriptor file_;
  size_t size_ = 0;
};

// Throws UserError if a file that begins with `begin` is the pointer of git-lfs; `file` names it.
void refuse_lfs_pointer(std::string_view begin, const std::string& file);

// The whole file. Throws UserError as above, and if it is larger than max_bytes.
std::string read_file(const std::filesystem::path& path, size_t max_bytes);

// A new file, written through a buffer. What cannot be written (a full disk) throws std::runtime_error that
// names the file; the destructor of one that was not closed closes it silently and leaves it.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  // A file that exists, is empty, and was made by the caller.
  struct Existing {};
  static constexpr Existing kExisting{};
  OutputFile(std::filesystem::path path, Existing existing);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view bytes);
  void close();  // after it, the bytes are on the disk

  const std::filesystem::path& path() const { return path_; }

 private:
  void flush();

  std::filesystem::path path_;
  int file_;
  std::vector<char> buffer_;
};

// Writes the whole of a file: `path` has its old content or the new one, whenever the program stops. Errors:
// see AtomicFile.
void replace_file(const std::filesystem::path& path, std::string_view content);

// A text as the name of a file or folder: what does not suit one is "~".
std::string plain_file_name(std::string_view text);
// Makes what was written to a file last.
void sync_file(const std::filesystem::path& path);
// Makes renames and new files in `folder` last.
void sync_folder(const std::filesystem::path& folder);

// Throws std::runtime_error, "cannot <action> <path>: <the system's reason>".
[[noreturn]] void fail_with_errno(std::string_view action, const std::filesystem::path& path, int error);

// A folder that is filled under a temporary name beside `target` and appears there complete, or not at all.
// One process at a time; what a killed one left behind is removed by the next.
class NewFolder {
 public:
  // Throws UserError if target exists and is not an empty folder (or a link to one), or if another process is
  // writing it.
  explicit NewFolder(const std::filesystem::path& target);
  ~NewFolder();  // removes what was not committed
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const std::filesystem::path& path() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  int lock_ = -1;
  bool committed_ = false;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_FILE_H_
