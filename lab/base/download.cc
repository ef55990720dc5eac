#include "lab/base/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/file.h"
#include "lab/base/interrupt.h"
#include "lab/base/sha256.h"

namespace seednorm::lab {
namespace fs = std::filesystem;
namespace {

std::string sha256_of_file(const fs::path& path) { return sha256_hex(MappedFile(path).bytes()); }

// TARGET.part, locked, and beside it the server's mark (ETag or date) of the version that it is a part of.
class PartFile {
 public:
  explicit PartFile(const std::string& target)
      : path_(target + ".part"), mark_path_(target + ".part.version") {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file_ < 0) fail_with_errno("create", path_, errno);
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      ::close(file_);
      throw UserError(target + ": another process is downloading it; wait until it has finished");
    }
    if (fs::exists(mark_path_)) mark_ = read_file(mark_path_, 4096);
    // Without the mark nothing tells whether the rest would belong to the same version.
    if (mark_.empty()) restart("");
    size_ = ::lseek(file_, 0, SEEK_END);
  }
  ~PartFile() { ::close(file_); }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  int64_t size() const { return size_; }
  const std::string& mark() const { return mark_; }

  void restart(const std::string& mark) {
    if (::ftruncate(file_, 0) != 0 || ::lseek(file_, 0, SEEK_SET) != 0)
      fail_with_errno("write", path_, errno);
    size_ = 0;
    mark_ = mark;
    replace_file(mark_path_, mark);
  }
  void append(const char* data, size_t size) {
    while (size > 0) {
      const ssize_t count = ::write(file_, data, size);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail_with_errno("write", path_, errno);
      data += count;
      size -= static_cast<size_t>(count);
      size_ += count;
    }
  }
  void commit(const std::string& target) {
    if (::fsync(file_) != 0) fail_with_errno("write", path_, errno);
    // Unlike rename, this does not replace a file that has appeared meanwhile.
    if (::link(path_.c_str(), target.c_str()) != 0) fail_with_errno("write", target, errno);
    remove();
    sync_folder(fs::path(target).parent_path());
  }
  void remove() {
    std::error_code ignored;
    fs::remove(path_, ignored);
    fs::remove(mark_path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_, mark_path_;
  int file_ = -1;
  int64_t size_ = 0;
  std::string mark_;
};

// Bytes begin .. end - 1 of `total`.
struct ContentRange {
  int64_t begin = 0, end = 0, total = 0;
};

// Parses "bytes 100-199/200". Returns nothing for another form, or without the size of the file.
std::optional<ContentRange> parse_content_range(const std::string& text) {
  long long first = 0, last = 0, total = 0;
  int used = 0;
  if (std::sscanf(text.c_str(), "bytes %lld-%lld/%lld%n", &first, &last, &total, &used) != 3 ||
      static_cast<size_t>(used) != text.size() || first < 0 || last < first || total <= last) {
    return std::nullopt;
  }
  return ContentRange{first, last + 1, total};
}

// One request, whose answer is written to the part file.
class Transfer {
 public:
  Transfer(const std::string& url, PartFile& part, const std::function<void(int64_t, int64_t)>& report)
      : part_(part), report_(report), curl_(curl_easy_init(), &curl_easy_cleanup) {
    if (curl_ == nullptr) throw std::runtime_error("cannot initialize libcurl");
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 10L);
    set(CURLOPT_CONNECTTIMEOUT, 30L);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, 60L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "seednorm");
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &on_data);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &on_progress);
    set(CURLOPT_XFERINFODATA, this);
  }

  // Whether the answer was another part of the file, or of another version of it, than the one requested.
  // Nothing of such an answer is kept.
  bool is_other_part() const { return other_part_; }

  // Returns the status of the answer. Throws if no answer came, or only a part of one.
  long run() {
    std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(nullptr, &curl_slist_free_all);
    if (part_.size() > 0) {
      set(CURLOPT_RANGE, (std::to_string(part_.size()) + "-").c_str());
      // If the file has changed, the server sends the new version as a whole.
      headers.reset(curl_slist_append(nullptr, ("If-Range: " + part_.mark()).c_str()));
      set(CURLOPT_HTTPHEADER, headers.get());
    }
    const CURLcode code = curl_easy_perform(curl_.get());
    if (other_part_) return status();
    if (failure_) std::rethrow_exception(failure_);
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT) {
      throw UserError("is not a web address; expected http:// or https://");
    }
    if (code != CURLE_OK) throw std::runtime_error(error_[0] != '\0' ? error_ : curl_easy_strerror(code));
    if (status() == 200 && !started_) part_.restart("");  // an empty file
    if (status() == 206 && part_.size() != range_.end) {
      throw std::runtime_error("the server sent " + std::to_string(part_.size()) + " of " +
                               std::to_string(range_.end) + " bytes");
    }
    return status();
  }

 private:
  template <typename Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(curl_.get(), option, value);
  }
  long status() const {
    long code = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  // Runs `f`, whose exceptions must not pass through libcurl.
  template <typename F>
  size_t guarded(size_t size, F f) {
    try {
      check_interrupt();
      f();
      return size;
    } catch (...) {
      failure_ = std::current_exception();
      return size == 0 ? 1 : 0;  // stops the transfer
    }
  }

  static size_t on_header(char* data, size_t /*one*/, size_t size, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    std::string line(data, size);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.pop_back();
    const auto value_of = [&](std::string_view name) -> std::string {
      if (line.size() < name.size() || curl_strnequal(line.c_str(), name.data(), name.size()) == 0) return "";
      const size_t begin = line.find_first_not_of(" \t", name.size());
      return begin == std::string::npos ? "" : line.substr(begin);
    };
    if (line.starts_with("HTTP/"))  // after a redirection
      transfer.strong_mark_ = transfer.weak_mark_ = transfer.content_range_ = "";
    if (const std::string tag = value_of("ETag:"); !tag.empty() && !tag.starts_with("W/"))
      transfer.strong_mark_ = tag;
    if (const std::string date = value_of("Last-Modified:"); !date.empty()) transfer.weak_mark_ = date;
    if (const std::string range = value_of("Content-Range:"); !range.empty()) transfer.content_range_ = range;
    return size;
  }

  static size_t on_data(char* data, size_t /*one*/, size_t size, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded(size, [&] {
      const long status = transfer.status();
      if (status != 200 && status != 206) return;  // the text of an error
      const std::string& mark = transfer.strong_mark_.empty() ? transfer.weak_mark_ : transfer.strong_mark_;
      if (!transfer.started_ && status == 200) transfer.part_.restart(mark);
      if (!transfer.started_ && status == 206) {
        const auto range = parse_content_range(transfer.content_range_);
        const bool same_version = mark.empty() || mark == transfer.part_.mark();
        transfer.other_part_ = !range || transfer.part_.size() == 0 ||
                               range->begin != transfer.part_.size() || range->end != range->total ||
                               !same_version;
        if (transfer.other_part_) throw std::runtime_error("the server sent a part that was not requested");
        transfer.range_ = *range;
      }
      transfer.started_ = true;
      transfer.part_.append(data, size);
      curl_off_t rest = 0, received = 0;
      curl_easy_getinfo(transfer.curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &rest);
      curl_easy_getinfo(transfer.curl_.get(), CURLINFO_SIZE_DOWNLOAD_T, &received);
      const int64_t before = transfer.part_.size() - received - static_cast<int64_t>(size);
      transfer.report_(transfer.part_.size(), rest > 0 ? std::max<int64_t>(before, 0) + rest : 0);
    });
  }

  // libcurl calls this also while nothing arrives.
  static int on_progress(void* self, curl_off_t /*total*/, curl_off_t /*now*/, curl_off_t, curl_off_t) {
    return static_cast<int>(static_cast<Transfer*>(self)->guarded(0, [] {}));
  }

  PartFile& part_;
  const std::function<void(int64_t, int64_t)>& report_;
  std::unique_ptr<CURL, void (*)(CURL*)> curl_;
  char error_[CURL_ERROR_SIZE] = "";
  std::string strong_mark_, weak_mark_, content_range_;
  ContentRange range_;  // of an answer 206 that continues the part file
  bool started_ = false, other_part_ = false;
  std::exception_ptr failure_;
};

// Downloads until the part file is complete.
void fetch(const std::string& url, PartFile& part, const std::function<void(int64_t, int64_t)>& report) {
  const std::string shown = without_password(url);
  bool other_part = false;
  const auto once = [&] {
    try {
      Transfer transfer(url, part, report);
      const long status = transfer.run();
      other_part = transfer.is_other_part();
      return status;
    } catch (const Interrupted&) {
      throw;
    } catch (const UserError& error) {
      throw UserError(shown + ": " + error.what());
    }
  };
  long status = once();
  // The part belongs to another file or is already complete, or the server ignored the requested range.
  if (status == 416 || other_part) {
    part.restart("");
    status = once();
  }
  if (other_part) {
    throw std::runtime_error("the server sent a part of the file although the whole file was requested");
  }
  if (status == 200 || status == 206) return;
  const std::string what = "the server answered " + std::to_string(status);
  if (status >= 400 && status < 500) throw UserError(shown + ": " + what + "; check the address");
  throw std::runtime_error(what);
}

}  // namespace

std::string without_password(const std::string& url) {
  const size_t scheme = url.find("://");
  const size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const size_t end = std::min(url.find_first_of("/?#", host), url.size());
  const size_t at = url.substr(0, end).rfind('@');
  return at == std::string::npos || at < host ? url : url.substr(0, host) + "***" + url.substr(at);
}

std::string file_name_of_url(const std::string& url) {
  const size_t scheme = url.find("://");
  const size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const std::string path = url.substr(0, url.find_first_of("?#", host));
  const size_t slash = path.rfind('/');
  return slash == std::string::npos || slash < host ? "" : path.substr(slash + 1);
}

DownloadResult download(const DownloadOptions& options, const std::function<void(int64_t, int64_t)>& report) {
  DownloadResult result;
  if (fs::exists(options.target)) {
    result.sha256 = sha256_of_file(options.target);
    if (options.sha256.empty() || options.sha256 != result.sha256) {
      throw UserError(options.target + ": already exists" +
                      (options.sha256.empty() ? "" : " with another checksum, " + result.sha256) +
                      "; move it away or name another --out");
    }
    result.bytes = static_cast<int64_t>(fs::file_size(options.target));
    result.already_there = true;
    return result;
  }
  if (const fs::path folder = fs::path(options.target).parent_path(); !folder.empty()) {
    make_folder(folder);
  }
  PartFile part(options.target);
  result.resumed_at = part.size();
  const std::string url = without_password(options.url);
  try {
    fetch(options.url, part, report);
  } catch (...) {
    const bool is_empty = part.size() == 0;
    if (is_empty) part.remove();
    try {
      throw;
    } catch (const UserError&) {
      throw;
    } catch (const Interrupted&) {
      throw;
    } catch (const std::exception& error) {
      throw std::runtime_error(url + ": " + error.what() + "; run the command again " +
                               (is_empty ? "later" : "to resume"));
    }
  }
  result.bytes = part.size();
  result.sha256 = sha256_of_file(part.path());
  if (!options.sha256.empty() && result.sha256 != options.sha256) {
    part.remove();
    throw UserError(url + ": its sha256 is " + result.sha256 + ", expected " + options.sha256 +
                    "; nothing was kept");
  }
  part.commit(options.target);
  return result;
}

}  // namespace seednorm::lab
