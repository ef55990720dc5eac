#include "lab/cli/text_input.h"

#include <numbers>

#include "lab/base/file.h"
#include "lab/base/utf8.h"
#include "lab/language/eval/token_list.h"

namespace seednorm::lab {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;

// Special tokens do not count as text, whatever their spelling.
template <class Id>
size_t bytes_of_special(const Tokenizer& tokenizer, const std::vector<Id>& ids) {
  size_t bytes = 0;
  for (const Id id : ids) {
    const auto token = static_cast<int32_t>(id);
    if (tokenizer.is_special(token)) bytes += tokenizer.bytes_of(token).size();
  }
  return bytes;
}

}  // namespace

std::optional<double> TextInput::bits_per_byte(double nll) const {
  if (text_bytes.value_or(0) == 0) return std::nullopt;
  return nll * std::numbers::log2e * (static_cast<double>(ids.size() - 1) / static_cast<double>(*text_bytes));
}

TextInput read_text_input(const std::string& file, const Tokenizer& tokenizer) {
  const std::string bytes = read_file(file, kMaxTextBytes);
  const std::string_view text = without_byte_order_mark(bytes);
  const std::vector<int32_t> ids = tokenizer.encode(text);
  return {file, {ids.begin(), ids.end()}, text.size() - bytes_of_special(tokenizer, ids)};
}

TextInput read_token_input(const std::string& file, const std::optional<Tokenizer>& tokenizer,
                           int64_t vocab_size) {
  TextInput out{.file = file,
                .ids = parse_token_list(read_file(file, kMaxTextBytes), file, vocab_size),
                .text_bytes = {}};
  if (tokenizer) {
    out.text_bytes = 0;
    for (const int64_t id : out.ids) *out.text_bytes += tokenizer->bytes_of(static_cast<int32_t>(id)).size();
    *out.text_bytes -= bytes_of_special(*tokenizer, out.ids);
  }
  return out;
}

}  // namespace seednorm::lab
