#include "lab/data/tokenizer/regex_split.h"

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

}  // namespace

RegexSplit::RegexSplit(std::string_view pattern, Keep keep) : keep_(keep) {
  const std::string translated = translate_pattern(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                            PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr),
              pcre2_code_free);
  if (code_ == nullptr) throw std::invalid_argument("is no regular expression: " + pcre_message(error));
  uint32_t can_match_empty = 0;
  pcre2_pattern_info(code_.get(), PCRE2_INFO_MATCHEMPTY, &can_match_empty);
  if (can_match_empty != 0) throw std::invalid_argument("can match the empty text, which is not supported");
  // Without it (on a processor that PCRE2 has no compiler for) matching is slower and gives the same.
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
}

RegexSplit::Scratch::Scratch(const RegexSplit& split)
    : data_(pcre2_match_data_create_from_pattern(split.code_.get(), nullptr), pcre2_match_data_free) {}

void RegexSplit::split(std::string_view text, Scratch& scratch, std::vector<std::string_view>& pieces) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto add = [&](size_t begin, size_t end, Keep kind) {
    if (begin < end && (keep_ == Keep::kAll || keep_ == kind))
      pieces.push_back(text.substr(begin, end - begin));
  };
  size_t done = 0;
  while (done < text.size()) {
    // The text has been checked; without this flag all of it would be checked again for each match.
    const int count = pcre2_match(code_.get(), subject, text.size(), done, PCRE2_NO_UTF_CHECK,
                                  scratch.data_.get(), nullptr);
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) {
      throw UserError("the tokenizer's regular expression fails on a text of " + std::to_string(text.size()) +
                      " bytes: " + pcre_message(count));
    }
    const PCRE2_SIZE* match = pcre2_get_ovector_pointer(scratch.data_.get());
    add(done, match[0], Keep::kGaps);
    add(match[0], match[1], Keep::kMatches);
    done = match[1];
  }
  add(done, text.size(), Keep::kGaps);
}

namespace {

// White space as Unicode defines it; PCRE2's \s also has U+180E.
constexpr std::string_view kSpaces = "\\t-\\r\\x{85}\\p{Z}";

// Reads a pattern and writes what PCRE2 understands the same way. All that is not known to agree is refused.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
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

  // {n}, {n,} or {n,m}. What follows it is read otherwise there: {1,2}+ repeats the repetition.
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

  // What both know as one character or one class: \p{..}, \n, \r, \t and marks; \d is left to \p{N}.
  bool simple_escape() {
    if (at_ + 1 == pattern_.size()) refuse("a lonely backslash");
    const char c = pattern_[at_ + 1];
    if (c == 'p' || c == 'P') {
      // General categories only: other properties have other names or meanings.
      const size_t end = pattern_.find('}', at_);
      if (end == std::string_view::npos || pattern_[at_ + 2] != '{') refuse("this property");
      const std::string_view name = pattern_.substr(at_ + 3, end - at_ - 3);
      constexpr std::string_view kMajor = "LMNPSZC";
      const bool known = !name.empty() && name.size() <= 2 &&
                         kMajor.find(name[0]) != std::string_view::npos &&
                         (name.size() == 1 || (name[1] >= 'a' && name[1] <= 'z'));
      if (!known) refuse("the property " + quote(name));
      copy(end + 1 - at_);
      return true;
    }
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (is_letter && c != 'n' && c != 'r' && c != 't') return false;
    copy(2);
    return true;
  }

  void escape() {
    if (simple_escape()) return;
    const char c = pattern_[at_ + 1];
    if (c != 's' && c != 'S') refuse(std::string("\\") + c);
    (result_ += c == 's' ? "[" : "[^").append(kSpaces) += ']';
    at_ += 2;
  }

  void bracket() {
    copy(1);
    if (rest().starts_with("^")) copy(1);
    if (rest().starts_with("]")) refuse("an empty class");
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '[' || rest().starts_with("&&")) refuse("a class inside of a class");
      if (pattern_[at_] != '\\') {
        copy(1);
      } else if (!simple_escape()) {
        if (pattern_[at_ + 1] != 's') refuse(std::string("\\") + pattern_[at_ + 1] + " inside of a class");
        result_ += kSpaces;
        at_ += 2;
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
