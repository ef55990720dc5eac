#include "lab/data/tokenizer/normalize.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

#include <algorithm>
#include <climits>
#include <stdexcept>

namespace seednorm::lab {

std::string_view nfc(std::string_view text, std::string& buffer) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= 0; })) return text;  // ASCII
  if (text.size() > INT32_MAX) throw std::length_error("a text above 2 GiB cannot be normalized");
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = icu::Normalizer2::getNFCInstance(status);
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  if (U_SUCCESS(status) && normalizer->isNormalizedUTF8(piece, status)) return text;
  buffer.clear();
  icu::StringByteSink<std::string> sink(&buffer);
  if (U_SUCCESS(status)) normalizer->normalizeUTF8(0, piece, sink, nullptr, status);
  if (U_FAILURE(status))
    throw std::runtime_error(std::string("ICU cannot normalize: ") + u_errorName(status));
  return buffer;
}

}  // namespace seednorm::lab
