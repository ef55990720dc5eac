// Files: mapping and reading them, and writing them so that a reader never sees an incomplete one.
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

// The bytes of a file, mapped into memory. Errors (UserError): the file is missing, not a regular file, not
// readable, or the pointer that git-lfs keeps in the place of a large file.
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

// A file that any thread can read at any offset. If the file becomes shorter or its disk disappears, reading
// throws, whereas access to a mapping would end the program.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);  // throws as MappedFile does

  size_t size() const { return size_; }
  // Reads the bytes offset .. offset + size - 1, which must lie in the file. Errors (UserError): the file has
  // become shorter.
  void read(size_t offset, char* out, size_t size) const;

 private:
  std::filesystem::path path_;
  Descriptor file_;
  size_t size_ = 0;
};

// Throws UserError if `begin`, the first bytes of a file, are a git-lfs pointer; `file` names the file.
void refuse_lfs_pointer(std::string_view begin, const std::string& file);

// The content of a file. Errors (UserError): as for MappedFile; the file is larger than max_bytes.
std::string read_file(const std::filesystem::path& path, size_t max_bytes);

// A new file, written through a buffer. Errors (std::runtime_error, which names the file): writing failed,
// for example because the disk is full. The destructor closes a file that is still open, without an error.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  // Takes over an existing, empty file that the caller has created.
  struct Existing {};
  static constexpr Existing kExisting{};
  OutputFile(std::filesystem::path path, Existing existing);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view bytes);
  void close();  // when it returns, the bytes are on the disk

  const std::filesystem::path& path() const { return path_; }

 private:
  void flush();

  std::filesystem::path path_;
  int file_;
  std::vector<char> buffer_;
};

// Replaces the content of a file: `path` has either its old content or the new one, whenever the program
// stops. Errors: see AtomicFile.
void replace_file(const std::filesystem::path& path, std::string_view content);

// A text as the name of a file or folder; characters that do not suit one become "~".
std::string plain_file_name(std::string_view text);
// Waits until the written content of a file is on the disk.
void sync_file(const std::filesystem::path& path);
// Waits until renames and new files in `folder` are on the disk.
void sync_folder(const std::filesystem::path& folder);

// Throws std::runtime_error, "cannot <action> <path>: <the system's reason>".
[[noreturn]] void fail_with_errno(std::string_view action, const std::filesystem::path& path, int error);

// Creates a folder and those that it lies in, unless they exist. Errors (UserError): a part of the path is a
// file. (std::runtime_error): the system refuses.
void make_folder(const std::filesystem::path& path);

// A folder that is filled under a temporary name beside `target`, where it appears either complete or not at
// all. Only one process at a time can write it; the next one removes what a killed process has left.
class NewFolder {
 public:
  // Errors (UserError): the target exists and is not an empty folder (or a link to one); another process is
  // writing it.
  explicit NewFolder(const std::filesystem::path& target);
  ~NewFolder();  // removes the folder unless it was committed
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
