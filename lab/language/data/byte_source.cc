#include "lab/language/data/byte_source.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(const std::string& name)
      : name_(name), file_(std::fopen(name.c_str(), "rb"), &std::fclose) {
    if (file_ == nullptr) throw UserError(name + ": cannot be read: " + std::strerror(errno));
  }
  size_t read(char* buffer, size_t size) override {
    const size_t count = std::fread(buffer, 1, size, file_.get());
    if (count == 0 && std::ferror(file_.get()) != 0) {
      throw UserError(name_ + ": cannot be read: " + std::strerror(errno));
    }
    position_ += count;
    return count;
  }
  uint64_t position() const override { return position_; }

 private:
  std::string name_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  uint64_t position_ = 0;
};

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(const std::string& name) : name_(name), file_(gzopen(name.c_str(), "rb"), &gzclose_r) {
    if (file_ == nullptr) throw UserError(name + ": cannot be read: " + std::strerror(errno));
    gzbuffer(file_.get(), 1U << 18);
    // What is no gzip would be read as it is.
    if (gzdirect(file_.get()) != 0 && std::filesystem::file_size(name) > 0)
      throw UserError(name + ": is not gzip");
  }
  size_t read(char* buffer, size_t size) override {
    const int count = gzread(file_.get(), buffer, static_cast<unsigned>(std::min<size_t>(size, 1U << 30)));
    int error = Z_OK;
    const char* message = gzerror(file_.get(), &error);
    if (count < 0 || (error != Z_OK && error != Z_STREAM_END)) {
      throw UserError(name_ + ": damaged gzip (" +
                      (error == Z_BUF_ERROR ? "it ends early" : std::string(message)) + "); fetch it again");
    }
    return static_cast<size_t>(count);
  }
  uint64_t position() const override {
    return static_cast<uint64_t>(std::max<z_off_t>(gzoffset(file_.get()), 0));
  }

 private:
  std::string name_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(const std::string& name)
      : name_(name),
        plain_(name),
        stream_(ZSTD_createDStream(), &ZSTD_freeDStream),
        packed_(ZSTD_DStreamInSize()) {}

  size_t read(char* buffer, size_t size) override {
    ZSTD_outBuffer out = {buffer, size, 0};
    while (out.pos == 0) {
      if (input_.pos == input_.size && !flushing_) {
        input_ = {packed_.data(), plain_.read(packed_.data(), packed_.size()), 0};
        if (input_.size == 0) {
          if (inside_frame_) fail("it ends early");
          return 0;
        }
      }
      const size_t state = ZSTD_decompressStream(stream_.get(), &out, &input_);
      if (ZSTD_isError(state) != 0) fail(ZSTD_getErrorName(state));
      inside_frame_ = state != 0;
      flushing_ = out.pos == out.size;  // there may be more without new input
    }
    return out.pos;
  }
  uint64_t position() const override { return plain_.position(); }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw UserError(name_ + ": damaged zstd (" + reason + "); fetch it again");
  }

  std::string name_;
  PlainSource plain_;
  std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream_;
  std::vector<char> packed_;
  ZSTD_inBuffer input_ = {nullptr, 0, 0};
  bool inside_frame_ = false, flushing_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& file) {
  if (!std::filesystem::is_regular_file(file)) {
    throw UserError(file + ": is " + (std::filesystem::exists(file) ? "not a regular file" : "not there"));
  }
  if (file.ends_with(".gz")) return std::make_unique<GzipSource>(file);
  if (file.ends_with(".zst")) return std::make_unique<ZstdSource>(file);
  return std::make_unique<PlainSource>(file);
}

}  // namespace seednorm::lab
