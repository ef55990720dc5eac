#include "lab/vision/data/raw_images.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

namespace seednorm::lab {
namespace {

constexpr int kCifarSide = 32;
// A side of an IDX picture.
constexpr uint32_t kMaxSide = 1 << 14;

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw UserError(file + ": " + what);
}

// The sizes of an IDX file of unsigned bytes with so many dimensions; the data must fill the rest.
std::vector<uint64_t> idx_sizes(std::string_view bytes, int num_dims, const std::string& file) {
  const auto word = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
  };
  const size_t header = 4 + 4 * size_t(num_dims);
  constexpr uint32_t kUnsignedBytes = 0x0800;
  if (bytes.size() < header || word(0) != (kUnsignedBytes | static_cast<uint32_t>(num_dims))) {
    fail(file, "is no IDX file of bytes in " + std::to_string(num_dims) + " dimensions");
  }
  std::vector<uint64_t> sizes;
  uint64_t total = 1;
  for (int i = 0; i < num_dims; ++i) {
    sizes.push_back(word(4 + 4 * size_t(i)));
    if (i > 0 && (sizes[i] < 1 || sizes[i] > kMaxSide)) {
      fail(file, "states pictures with a side of " + std::to_string(sizes[i]));
    }
    total *= sizes[i];  // below 2^32 * 2^28
  }
  if (bytes.size() - header != total) {
    fail(file, "states " + std::to_string(total) + " bytes and has " + std::to_string(bytes.size() - header));
  }
  return sizes;
}

}  // namespace

void append_cifar(std::string_view bytes, int label_bytes, int num_classes, const std::string& file,
                  RawImages& images) {
  images.width = images.height = kCifarSide;
  images.channels = 3;
  const size_t record = label_bytes + images.image_bytes();
  if (bytes.empty()) fail(file, "is empty");
  if (bytes.size() % record != 0) {
    fail(file, "has " + std::to_string(bytes.size()) + " bytes, which is no multiple of CIFAR's " +
                   std::to_string(record) + " a picture");
  }
  images.pixels.reserve(images.pixels.size() + bytes.size());
  for (size_t at = 0; at < bytes.size(); at += record) {
    const int label = static_cast<unsigned char>(bytes[at + label_bytes - 1]);
    if (label >= num_classes) {
      fail(file, "picture " + std::to_string(at / record) + " has label " + std::to_string(label) +
                     ", beyond the " + std::to_string(num_classes) + " classes");
    }
    images.labels.push_back(label);
    images.pixels.append(bytes, at + label_bytes, images.image_bytes());
  }
}

RawImages parse_idx(std::string_view pictures, const std::string& pictures_file, std::string_view labels,
                    const std::string& labels_file) {
  const auto sizes = idx_sizes(pictures, 3, pictures_file);
  const auto num_labels = idx_sizes(labels, 1, labels_file)[0];
  if (sizes[0] == 0) fail(pictures_file, "has no picture");
  if (sizes[0] != num_labels) {
    fail(labels_file, "has " + std::to_string(num_labels) + " labels for the " + std::to_string(sizes[0]) +
                          " pictures of " + pictures_file);
  }
  RawImages images{
      static_cast<int>(sizes[2]), static_cast<int>(sizes[1]), 1, std::string(pictures.substr(16)), {}};
  for (const char label : labels.substr(8)) images.labels.push_back(static_cast<unsigned char>(label));
  return images;
}

std::string unpack_gzip(std::string_view bytes, size_t max_bytes, const std::string& file) {
  if (!bytes.starts_with("\x1f\x8b")) return std::string(bytes);
  z_stream stream = {};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::bad_alloc();
  std::string out;
  std::vector<char> buffer(1 << 20);
  int status = Z_OK;
  size_t taken = 0;
  while (status == Z_OK) {
    if (stream.avail_in == 0) {
      stream.avail_in =
          static_cast<uInt>(std::min<size_t>(bytes.size() - taken, std::numeric_limits<uInt>::max()));
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + taken));
      taken += stream.avail_in;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer.data(), buffer.size() - stream.avail_out);
    if (out.size() > max_bytes) break;
    const bool has_more = stream.avail_in > 0 || taken < bytes.size();
    if (status == Z_STREAM_END && has_more) status = inflateReset(&stream);  // another member follows
  }
  inflateEnd(&stream);
  if (out.size() > max_bytes) fail(file, "unpacks to more than " + std::to_string(max_bytes) + " bytes");
  if (status == Z_BUF_ERROR) fail(file, "ends early");
  if (status != Z_STREAM_END) fail(file, "is damaged: gzip cannot unpack it");
  return out;
}

}  // namespace seednorm::lab
