#include "lab/language/data/tokenizer/regex_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdexcept>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

std::string pcre_message(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

constexpr size_t kWindowBytes = size_t{1} << 10;
constexpr size_t kStepsPerByte = 64, kFreeSteps = size_t{1} << 28;  // the latter take a fraction of a second

// The last start of a character of `text` that is not after `at`, or the end.
size_t character_begin(std::string_view text, size_t at) {
  if (at >= text.size()) return text.size();
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

// The end of the character that begins at `at`.
size_t character_end(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return at;
}

}  // namespace

RegexSplit::Code RegexSplit::compile(const std::string& pattern, uint32_t options) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | options, &error, &offset, nullptr),
      pcre2_code_free);
  if (code == nullptr)
    throw std::invalid_argument("is not a valid regular expression: " + pcre_message(error));
  // If PCRE2 has no compiler for the processor, matching is slower, with the same results.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
  return code;
}

RegexSplit::RegexSplit(std::string_view pattern, Keep keep) : pattern_(pattern), keep_(keep) {
  const std::string translated = translate_pattern(pattern);
  search_ = compile(translated, 0);
  match_here_ = compile(translated, PCRE2_ANCHORED);
  uint32_t can_match_empty = 0;
  pcre2_pattern_info(search_.get(), PCRE2_INFO_MATCHEMPTY, &can_match_empty);
  if (can_match_empty != 0) throw std::invalid_argument("can match the empty text, which is not supported");
}

RegexSplit::Scratch::Scratch(const RegexSplit& split)
    : data_(pcre2_match_data_create_from_pattern(split.search_.get(), nullptr), pcre2_match_data_free) {}

// An expression may look far ahead, match little, and do so again at the next character, which takes time
// that grows with the square of the text. The search therefore sees only a window of the text. A match that
// needs to see more is tried again where it started, alone and with twice the window, and the sizes of those
// windows are counted.
void RegexSplit::split(std::string_view text, Scratch& scratch, std::vector<std::string_view>& pieces) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto add = [&](size_t begin, size_t end, Keep kind) {
    if (begin < end && (keep_ == Keep::kAll || keep_ == kind))
      pieces.push_back(text.substr(begin, end - begin));
  };
  const auto fail = [&](const std::string& why) {
    throw UserError("the tokenizer's regular expression " + quote(pattern_) + " fails on a text of " +
                    std::to_string(text.size()) + " bytes: " + why);
  };
  const size_t budget = kStepsPerByte * text.size() + kFreeSteps;
  size_t done = 0, begin = 0;  // the end of the last match, and where the next one may begin
  size_t window = kWindowBytes, steps = 0;
  while (begin < text.size()) {
    const size_t end = character_begin(text, begin + window);
    const bool again = window > kWindowBytes;
    // The text has been checked; without the first flag all of it would be checked again for each match.
    const uint32_t flags = PCRE2_NO_UTF_CHECK | (end < text.size() ? PCRE2_PARTIAL_HARD : 0);
    const pcre2_code* code = again ? match_here_.get() : search_.get();
    const int count = pcre2_match(code, subject, end, begin, flags, scratch.data_.get(), nullptr);
    if (again && (steps += end - begin) > budget) fail("it looks too far ahead, too often");
    const PCRE2_SIZE* match = pcre2_get_ovector_pointer(scratch.data_.get());
    if (count == PCRE2_ERROR_PARTIAL) {
      begin = match[0];
      window *= 2;
      continue;
    }
    window = kWindowBytes;
    if (count == PCRE2_ERROR_NOMATCH) {
      begin = again ? character_end(text, begin) : end;
      continue;
    }
    if (count < 0) fail(pcre_message(count));
    add(done, match[0], Keep::kGaps);
    add(match[0], match[1], Keep::kMatches);
    done = begin = match[1];
  }
  add(done, text.size(), Keep::kGaps);
}

namespace {

// White space as Unicode defines it; PCRE2's \s also has U+180E.
constexpr std::string_view kSpaces = "\\t-\\r\\x{85}\\p{Z}";

// The letters and numbers of Unicode 16, with which Hugging Face's library is built. PCRE2 10.42 has those of
// Unicode 14; these are the rest. They have no effect with a newer PCRE2.
constexpr std::string_view kLetters =
    "\\p{L}"
    "\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D65}"
    "\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138B}"
    "\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}"
    "\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}"
    "\\x{16100}-\\x{1611D}\\x{16D40}-\\x{16D6C}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}"
    "\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}"
    "\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}";
constexpr std::string_view kNumbers =
    "\\p{N}"
    "\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}"
    "\\x{16130}-\\x{16139}\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1D2C0}-\\x{1D2D3}"
    "\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}";

// Reads a pattern and writes one with the same meaning for PCRE2. Syntax that is not known to agree is
// refused.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        bracket();
      } else if (c == '(') {
        group();
      } else if (c == '^' || c == '$') {
        refuse("an anchor");  // of lines there, of the whole text here
      } else if (c == '{') {
        repeat();
      } else {
        copy(1);
      }
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument(what + " at character " + std::to_string(at_) + " is not supported");
  }
  std::string_view rest() const { return pattern_.substr(at_); }
  void copy(size_t count) {
    result_ += pattern_.substr(at_, count);
    at_ += count;
  }

  void group() {
    for (const std::string_view known : {"(?:", "(?i:", "(?=", "(?!", "(?>"}) {
      if (rest().starts_with(known)) return copy(known.size());
    }
    if (rest().starts_with("(?") || rest().starts_with("(*")) refuse("this kind of group");
    copy(1);
  }

  // {n}, {n,} or {n,m}. Oniguruma reads a following sign differently: {1,2}+ repeats the repetition.
  void repeat() {
    size_t end = at_ + 1;
    while (end < pattern_.size() && pattern_[end] >= '0' && pattern_[end] <= '9') ++end;
    if (end == at_ + 1) refuse("'{' without a number");
    if (end < pattern_.size() && pattern_[end] == ',') ++end;
    while (end < pattern_.size() && pattern_[end] >= '0' && pattern_[end] <= '9') ++end;
    if (end == pattern_.size() || pattern_[end] != '}') refuse("'{' without its '}'");
    copy(end + 1 - at_);
    if (rest().starts_with("+") || rest().starts_with("?")) refuse("a mark on a counted repetition");
  }

  // \p{..}: general categories only, since other properties have other names or meanings.
  std::string_view property() const {
    const size_t end = pattern_.find('}', at_);
    if (!rest().substr(2).starts_with('{') || end == std::string_view::npos) refuse("this property");
    const std::string_view name = pattern_.substr(at_ + 3, end - at_ - 3);
    constexpr std::string_view kMajor = "LMNPSZC";
    const bool known = !name.empty() && name.size() <= 2 && kMajor.find(name[0]) != std::string_view::npos &&
                       (name.size() == 1 || (name[1] >= 'a' && name[1] <= 'z'));
    if (!known) refuse("the property " + quote(name));
    return pattern_.substr(at_, end + 1 - at_);
  }

  // A backslash and what belongs to it, as members of a class. Inside of one, a negated set has no such form.
  void escape(bool in_class) {
    if (at_ + 1 == pattern_.size()) refuse("a lonely backslash");
    const char c = pattern_[at_ + 1];
    size_t size = 2;
    std::string_view members;
    if (c == 'p' || c == 'P') {
      const std::string_view whole = property();
      size = whole.size();
      members = whole == "\\p{L}" ? kLetters : whole == "\\p{N}" ? kNumbers : whole;
    } else if (c == 's' || c == 'S') {
      if (c == 'S' && in_class) refuse("\\S inside of a class");
      members = kSpaces;
    } else {
      const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (is_letter && c != 'n' && c != 'r' && c != 't') refuse(std::string("\\") + c);
      return copy(2);  // a mark, or a control character
    }
    if (!in_class) result_ += c == 'S' ? "[^" : "[";
    result_ += members;
    if (!in_class) result_ += ']';
    at_ += size;
  }

  void bracket() {
    copy(1);
    if (rest().starts_with("^")) copy(1);
    if (rest().starts_with("]")) refuse("an empty class");
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '[' || rest().starts_with("&&")) refuse("a class inside of a class");
      if (pattern_[at_] == '\\') {
        escape(true);
      } else {
        copy(1);
      }
    }
    if (at_ == pattern_.size()) refuse("a class that does not end");
    copy(1);
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string result_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace seednorm::lab
