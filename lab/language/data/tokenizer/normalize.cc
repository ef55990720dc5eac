#include "lab/language/data/tokenizer/normalize.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uniset.h>

#include <algorithm>
#include <climits>
#include <stdexcept>

namespace seednorm::lab {
namespace {

[[noreturn]] void fail(UErrorCode status) {
  throw std::runtime_error(std::string("ICU cannot normalize: ") + u_errorName(status));
}

const icu::Normalizer2& new_nfc() {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = icu::Normalizer2::getNFCInstance(status);
  if (U_FAILURE(status)) fail(status);
  return *normalizer;
}

// The normal forms of Unicode 9, with which Hugging Face's library is built. For it, and for the models that
// used it, newer characters are unassigned.
const icu::Normalizer2& old_nfc() {
  static const icu::UnicodeSet* known = [] {
    UErrorCode status = U_ZERO_ERROR;
    auto* set = new icu::UnicodeSet(UNICODE_STRING_SIMPLE("[:age=9.0:]"), status);
    if (U_FAILURE(status)) fail(status);
    set->freeze();
    return set;
  }();
  static const icu::FilteredNormalizer2 normalizer(new_nfc(), *known);
  return normalizer;
}

}  // namespace

std::string_view nfc(std::string_view text, std::string& buffer) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= 0; })) return text;  // ASCII
  if (text.size() > INT32_MAX) throw std::length_error("a text above 2 GiB cannot be normalized");
  UErrorCode status = U_ZERO_ERROR;
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  // This check is faster, and true only if the old one is: Unicode 9 moves and composes fewer characters.
  const bool is_normal = new_nfc().isNormalizedUTF8(piece, status) != 0;
  if (U_SUCCESS(status) && is_normal) return text;
  buffer.clear();
  icu::StringByteSink<std::string> sink(&buffer);
  if (U_SUCCESS(status)) old_nfc().normalizeUTF8(0, piece, sink, nullptr, status);
  if (U_FAILURE(status)) fail(status);
  return buffer;
}

}  // namespace seednorm::lab
