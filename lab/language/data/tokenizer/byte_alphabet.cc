#include "lab/language/data/tokenizer/byte_alphabet.h"

#include "lab/base/utf8.h"

namespace seednorm::lab {
namespace {

constexpr int kNumCharacters = 0x144;  // the last is U+0143

constexpr std::array<int, kNumCharacters> make_byte_of() {
  std::array<int, kNumCharacters> byte_of{};
  for (int& byte : byte_of) byte = -1;
  for (int byte = 0; byte < 256; ++byte) byte_of[kByteAlphabet[byte]] = byte;
  return byte_of;
}
constexpr std::array<int, kNumCharacters> kByteOf = make_byte_of();

}  // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const Utf8Piece piece = next_utf8(text);
    if (piece.state != Utf8Piece::kValid || piece.code_point >= kNumCharacters) return std::nullopt;
    const int byte = kByteOf[piece.code_point];
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    text.remove_prefix(piece.size);
  }
  return bytes;
}

}  // namespace seednorm::lab
