#include "lab/base/utf8.h"

#include <cstdint>
#include <cstring>

namespace seednorm::lab {

Utf8Piece next_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {Utf8Piece::kValid, 1, first};
  // The range of the second byte excludes overlong forms, surrogates and code points above U+10FFFF.
  int size = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    size = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    size = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    size = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {Utf8Piece::kInvalid, 1, 0};
  }
  char32_t code_point = first & (0x7F >> size);
  for (int i = 1; i < size; ++i) {
    if (static_cast<size_t>(i) == text.size()) return {Utf8Piece::kIncomplete, i, 0};
    if (byte(i) < low || byte(i) > high) return {Utf8Piece::kInvalid, i, 0};
    code_point = code_point << 6 | (byte(i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8Piece::kValid, size, code_point};
}

size_t valid_utf8_size(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    // Most text is ASCII, which is skipped eight bytes at a time.
    uint64_t word = 0;
    if (text.size() - i >= sizeof word) {
      std::memcpy(&word, text.data() + i, sizeof word);
      if ((word & 0x8080808080808080) == 0) {
        i += sizeof word;
        continue;
      }
    }
    const Utf8Piece piece = next_utf8(text.substr(i));
    if (piece.state != Utf8Piece::kValid) return i;
    i += piece.size;
  }
  return i;
}

size_t append_lossy_utf8(std::string_view text, std::string& out) {
  size_t replaced = 0;
  while (!text.empty()) {
    const size_t valid = valid_utf8_size(text);
    out += text.substr(0, valid);
    text.remove_prefix(valid);
    if (text.empty()) break;
    out += "\uFFFD";
    ++replaced;
    text.remove_prefix(next_utf8(text).size);
  }
  return replaced;
}

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

void append_utf8(char32_t c, std::string& out) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace seednorm::lab
