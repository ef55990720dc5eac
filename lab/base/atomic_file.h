// Files that have either their old content or the complete new one, whenever the program or the machine
// stops.
#ifndef SEEDNORM_LAB_BASE_ATOMIC_FILE_H_
#define SEEDNORM_LAB_BASE_ATOMIC_FILE_H_

#include <filesystem>
#include <string_view>

#include "lab/base/descriptor.h"
#include "lab/base/file.h"

namespace seednorm::lab {

// A file that is written under a new name beside `target` ("NAME.partial-xxxxxxxxxxxx"), which it replaces in
// commit(). A target that is a symbolic link to a file remains a link, and the file it points to is replaced.
class AtomicFile {
 public:
  // Errors (UserError): the target is a folder, a device or a pipe. (std::runtime_error): the folder does not
  // exist or cannot be written to.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();  // removes the file unless it was committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes) { file_.write(bytes); }
  // The file itself, for code that writes to an OutputFile.
  OutputFile& file() { return file_; }
  // When it returns, content and name are on the disk. Errors (std::runtime_error): writing failed; the
  // target then has its old content.
  void commit();

 private:
  std::filesystem::path target_;
  Descriptor lock_;  // tells remove_stale_partials that this process is alive
  OutputFile file_;
  bool committed_ = false;
};

// Removes the temporary files of AtomicFile in `folder`, but not in its subfolders, whose writers are no
// longer running, and those of earlier versions. Returns their number. Files that cannot be removed stay.
int remove_stale_partials(const std::filesystem::path& folder);

// Whether a file's name is that of a temporary file of AtomicFile.
bool is_partial_name(std::string_view name);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_ATOMIC_FILE_H_
