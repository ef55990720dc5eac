// The bytes of a file from beginning to end, decompressed on the way.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_BYTE_SOURCE_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace seednorm::lab {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // At most `size` bytes; 0 at the end. Throws UserError if the file is truncated or corrupt.
  virtual size_t read(char* buffer, size_t size) = 0;
  // The number of bytes of the file that have been consumed.
  virtual uint64_t position() const = 0;
};

// The end of the name decides the format: .gz, .zst, or uncompressed.
std::unique_ptr<ByteSource> open_bytes(const std::string& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_BYTE_SOURCE_H_
