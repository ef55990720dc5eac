// Any bytes are a tar archive, whose members lie inside, or an error in one line. Checksums are made
// right, since no mutation would find them.
#include "lab/vision/data/tar.h"

#include <cstdio>
#include <string>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  std::string bytes(bytes_of(data, size));
  for (size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) {
      sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(bytes[at + i]);
    }
    if (sum == 8 * ' ') continue;  // zeros
    char digits[8];
    std::snprintf(digits, sizeof digits, "%06o", sum);
    bytes.replace(at + 148, 7, std::string(digits, 7));
  }
  return or_one_line([&] {
    for (const TarMember& member : parse_tar(bytes, "file")) {
      require(member.offset <= bytes.size() && member.size <= bytes.size() - member.offset);
    }
  });
}
