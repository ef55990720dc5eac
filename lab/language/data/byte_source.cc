#include "lab/language/data/byte_source.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <vector>

#include "lab/base/error.h"
#include "lab/base/file.h"

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
    if (position_ == 0) refuse_lfs_pointer({buffer, count}, name_);
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
  explicit GzipSource(const std::string& name) : name_(name), plain_(name), packed_(kPackedBytes) {
    constexpr int kGzipOnly = 16;
    if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
    stream_.avail_in = 0;
    // A plain text with this name is another mistake than a damaged file.
    if (refill() && packed_[0] != kMagic) {
      inflateEnd(&stream_);
      throw UserError(name + ": is not gzip");
    }
  }
  ~GzipSource() override { inflateEnd(&stream_); }

  size_t read(char* buffer, size_t size) override {
    stream_.next_out = reinterpret_cast<unsigned char*>(buffer);
    stream_.avail_out = static_cast<unsigned>(std::min<size_t>(size, 1U << 30));
    const unsigned wanted = stream_.avail_out;
    while (stream_.avail_out == wanted) {
      if (stream_.avail_in == 0 && !flushing_ && !refill()) {
        if (state_ == kInMember) fail("it ends early");
        return 0;
      }
      if (state_ != kInMember && !begin_member()) continue;
      const int code = inflate(&stream_, Z_NO_FLUSH);
      flushing_ = stream_.avail_out == 0 && code == Z_OK;  // there may be more without new input
      if (code == Z_STREAM_END) {
        state_ = kBehindMember;
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        fail(stream_.msg != nullptr ? stream_.msg : "code " + std::to_string(code));
      }
    }
    return wanted - stream_.avail_out;
  }
  uint64_t position() const override { return plain_.position(); }

 private:
  static constexpr size_t kPackedBytes = size_t{1} << 18;
  static constexpr char kMagic = '\x1f';
  enum State { kInMember, kBehindMember, kInPadding };

  // Another member starts, unless only zeros follow, with which some programs fill the last block.
  bool begin_member() {
    if (*stream_.next_in == 0) {
      state_ = kInPadding;
      ++stream_.next_in;
      --stream_.avail_in;
      return false;
    }
    if (state_ == kInPadding || *stream_.next_in != static_cast<unsigned char>(kMagic)) {
      fail("what follows byte " + std::to_string(plain_.position() - stream_.avail_in) + " is not gzip");
    }
    inflateReset(&stream_);
    state_ = kInMember;
    return true;
  }
  bool refill() {
    stream_.next_in = reinterpret_cast<unsigned char*>(packed_.data());
    stream_.avail_in = static_cast<unsigned>(plain_.read(packed_.data(), packed_.size()));
    return stream_.avail_in > 0;
  }
  [[noreturn]] void fail(const std::string& reason) const {
    throw UserError(name_ + ": damaged gzip (" + reason + "); fetch it again");
  }

  std::string name_;
  PlainSource plain_;
  std::vector<char> packed_;
  z_stream stream_{};
  State state_ = kInMember;
  bool flushing_ = false;
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
  bool inside_frame_ = true, flushing_ = false;  // an empty file has lost its frame
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& file) {
  if (!std::filesystem::is_regular_file(file)) {
    throw UserError(file + ": is " + (std::filesystem::exists(file) ? "not a regular file" : "missing"));
  }
  if (file.ends_with(".gz")) return std::make_unique<GzipSource>(file);
  if (file.ends_with(".zst")) return std::make_unique<ZstdSource>(file);
  return std::make_unique<PlainSource>(file);
}

}  // namespace seednorm::lab
