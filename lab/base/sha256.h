// SHA-256 (FIPS 180-4).
#ifndef SEEDNORM_LAB_BASE_SHA256_H_
#define SEEDNORM_LAB_BASE_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace seednorm::lab {

class Sha256 {
 public:
  void update(std::string_view bytes);
  std::string hex();  // the digest of all bytes so far; no bytes may follow

 private:
  void block(const unsigned char* bytes);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> pending_;
  size_t num_pending_ = 0;
  uint64_t num_bytes_ = 0;
};

// 64 hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_SHA256_H_
