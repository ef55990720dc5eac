#include "lab/language/eval/python_text.h"

#include <unicode/locid.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "lab/base/utf8.h"

namespace seednorm::lab {
namespace {

// str.isspace()
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

icu::UnicodeString from_utf8(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

std::string lower(std::string_view text) {
  std::string out;
  return from_utf8(text).toLower(icu::Locale::getRoot()).toUTF8String(out);
}

std::string title(std::string_view text) {
  std::string out;
  return from_utf8(text).toTitle(nullptr, icu::Locale::getRoot()).toUTF8String(out);
}

}  // namespace

size_t first_character(std::string_view text) {
  return text.empty() ? 0 : static_cast<size_t>(next_utf8(text).size);
}

int64_t num_characters(std::string_view text) {
  int64_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(first_character(text));
  return count;
}

std::string_view strip(std::string_view text) {
  size_t begin = std::string_view::npos, end = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Piece piece = next_utf8(text.substr(at));
    const bool space = piece.state == Utf8Piece::kValid && is_space(piece.code_point);
    if (!space) begin = std::min(begin, at);
    at += static_cast<size_t>(piece.size);
    if (!space) end = at;
  }
  return begin == std::string_view::npos ? text.substr(0, 0) : text.substr(begin, end - begin);
}

std::string capitalize(std::string_view text) {
  const size_t first = first_character(text);
  // In lower case as a whole, since a final sigma depends on what is before it.
  return title(text.substr(0, first)) + lower(text).substr(lower(text.substr(0, first)).size());
}

std::string lower_first(std::string_view text) {
  const size_t first = first_character(text);
  return lower(text.substr(0, first)) + std::string(text.substr(first));
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find(from, at), text.size());
    out += text.substr(at, found - at);
    if (found < text.size()) out += to;
    at = found == text.size() ? found : found + from.size();
  }
  return out;
}

}  // namespace seednorm::lab
