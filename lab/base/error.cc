#include "lab/base/error.h"

#include <cstdio>

#include "lab/base/utf8.h"

namespace seednorm::lab {

std::string quote(std::string_view text, size_t max_bytes) {
  std::string result = "\"";
  const auto escape = [&](unsigned char byte) {
    char buffer[8];
    std::snprintf(buffer, sizeof buffer, "\\x%02x", byte);
    result += buffer;
  };
  for (size_t i = 0; i < text.size();) {
    if (i >= max_bytes) return result + "\"...";
    const Utf8Piece piece = next_utf8(text.substr(i));
    const auto byte = static_cast<unsigned char>(text[i]);
    if (text[i] == '"' || text[i] == '\\') {
      result += {'\\', text[i]};
    } else if (piece.state != Utf8Piece::kValid || byte < 0x20 || byte == 0x7f) {
      for (int k = 0; k < piece.size; ++k) escape(text[i + k]);
    } else {
      result += text.substr(i, piece.size);
    }
    i += piece.size;
  }
  return result + "\"";
}

}  // namespace seednorm::lab
