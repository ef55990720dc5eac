// Files from the network: what was interrupted goes on where it stopped, and nothing unchecked takes a final
// name.
#ifndef SEEDNORM_LAB_BASE_DOWNLOAD_H_
#define SEEDNORM_LAB_BASE_DOWNLOAD_H_

#include <cstdint>
#include <functional>
#include <string>

namespace seednorm::lab {

struct DownloadOptions {
  std::string url;     // http or https
  std::string target;  // a new file
  std::string sha256;  // what it must be; empty: anything
};

struct DownloadResult {
  int64_t bytes = 0;
  std::string sha256;
  int64_t resumed_at = 0;      // bytes that were there before
  bool already_there = false;  // the target had the right content: nothing was fetched
};

// `report(done, total)` in bytes, total 0 if unknown. Until it is complete and right, the file is
// TARGET.part. Throws UserError if the target is there with other content, the server has no such file, or
// the checksum differs; std::runtime_error if the connection fails, and then the next call goes on;
// Interrupted.
DownloadResult download(const DownloadOptions& options, const std::function<void(int64_t, int64_t)>& report);

// An address for messages: *** in place of the user and the password that it may begin with.
std::string without_password(const std::string& url);

// The last part of the path of a URL; empty if it has none.
std::string file_name_of_url(const std::string& url);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_DOWNLOAD_H_
