// Bytes as text.
#ifndef SEEDNORM_LAB_BASE_BASE64_H_
#define SEEDNORM_LAB_BASE_BASE64_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace seednorm::lab {

// RFC 4648, with padding and without line breaks.
inline std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    uint32_t word = 0;
    for (size_t j = 0; j < 3; ++j)
      word = word << 8 | (j < count ? static_cast<uint8_t>(bytes[i + j]) : uint32_t{0});
    for (size_t j = 0; j < 4; ++j) out += j <= count ? kDigits[word >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_BASE64_H_
