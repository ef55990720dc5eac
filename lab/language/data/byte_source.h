// A file's bytes from its begin to its end, unpacked on the way.
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
  // At most `size` bytes; 0 at the end. Throws UserError when the file is torn or altered.
  virtual size_t read(char* buffer, size_t size) = 0;
  // Bytes of the file that have been consumed.
  virtual uint64_t position() const = 0;
};

// By the name's end: .gz, .zst, or as it is.
std::unique_ptr<ByteSource> open_bytes(const std::string& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_BYTE_SOURCE_H_
