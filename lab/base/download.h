// Downloads. An interrupted download resumes where it stopped, and a file gets its final name only after it
// was checked.
#ifndef SEEDNORM_LAB_BASE_DOWNLOAD_H_
#define SEEDNORM_LAB_BASE_DOWNLOAD_H_

#include <cstdint>
#include <functional>
#include <string>

namespace seednorm::lab {

struct DownloadOptions {
  std::string url;     // http or https
  std::string target;  // a new file
  std::string sha256;  // the expected checksum; empty if any content is accepted
};

struct DownloadResult {
  int64_t bytes = 0;
  std::string sha256;
  int64_t resumed_at = 0;      // bytes that an earlier, interrupted download had left
  bool already_there = false;  // the target had the right content, and nothing was downloaded
};

// Downloads a file and calls `report(done, total)` in bytes, with total 0 if it is unknown. The file is
// TARGET.part until it is complete and checked. Errors (UserError): the target exists with other content, the
// server has no such file, or the checksum differs. (std::runtime_error): the connection failed; the next
// call resumes. (Interrupted): the user stopped the program.
DownloadResult download(const DownloadOptions& options, const std::function<void(int64_t, int64_t)>& report);

// An address for messages, with *** in the place of a user name and password.
std::string without_password(const std::string& url);

// The last part of the path of a URL; empty if it has none.
std::string file_name_of_url(const std::string& url);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_DOWNLOAD_H_
