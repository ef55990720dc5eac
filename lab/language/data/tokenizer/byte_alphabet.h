// The byte alphabet of GPT-2: each byte as one printable character, so that any bytes are text. Bytes that
// print in Latin-1 stand for themselves, the others take U+0100 and up in their order.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BYTE_ALPHABET_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BYTE_ALPHABET_H_

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace seednorm::lab {

// The character of each byte.
constexpr std::array<char32_t, 256> make_byte_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    alphabet[byte] = prints ? byte : next++;
  }
  return alphabet;
}
inline constexpr std::array<char32_t, 256> kByteAlphabet = make_byte_alphabet();

// The bytes that a text in the byte alphabet stands for; nothing if it has another character.
std::optional<std::string> bytes_of_alphabet(std::string_view text);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BYTE_ALPHABET_H_
