// UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef SEEDNORM_LAB_BASE_UTF8_H_
#define SEEDNORM_LAB_BASE_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace seednorm::lab {

// The first code point of a text, or the longest piece at its start that is not one.
struct Utf8Piece {
  enum State {
    kValid,       // a code point
    kInvalid,     // cannot become a code point, whatever follows
    kIncomplete,  // the text ends within what may be a code point
  };
  State state;
  int size;             // bytes, 1 to 4
  char32_t code_point;  // if valid
};
Utf8Piece next_utf8(std::string_view text);  // text is not empty

// The number of bytes before the first one that is not part of a code point, at most text.size().
size_t valid_utf8_size(std::string_view text);

// Appends text to out with U+FFFD in place of each longest invalid piece, as the Unicode standard recommends
// (and Rust's from_utf8_lossy does). Returns the number of these pieces.
size_t append_lossy_utf8(std::string_view text, std::string& out);

// `text` without the byte order mark that some editors write in front of UTF-8.
std::string_view without_byte_order_mark(std::string_view text);

void append_utf8(char32_t code_point, std::string& out);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_UTF8_H_
