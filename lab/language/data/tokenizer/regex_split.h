// Splits a text by a regular expression in the dialect of tokenizer.json (Oniguruma).
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_REGEX_SPLIT_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_REGEX_SPLIT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;

namespace seednorm::lab {

// A compiled expression. Immutable: threads may share it.
class RegexSplit {
 public:
  enum class Keep { kAll, kMatches, kGaps };  // gaps: what lies between matches

  // Throws std::invalid_argument with the reason if the pattern is invalid, can match an empty text, or has
  // something that PCRE2 and Oniguruma treat differently.
  RegexSplit(std::string_view pattern, Keep keep);

  // The working memory of matching; each thread needs its own.
  class Scratch {
   public:
    explicit Scratch(const RegexSplit& split);

   private:
    friend RegexSplit;
    std::shared_ptr<pcre2_real_match_data_8> data_;
  };

  // Appends the pieces of `text`, which is valid UTF-8, in their order; none is empty. Throws UserError that
  // names the expression if matching takes too many steps.
  void split(std::string_view text, Scratch& scratch, std::vector<std::string_view>& pieces) const;

 private:
  using Code = std::shared_ptr<pcre2_real_code_8>;
  static Code compile(const std::string& pattern, uint32_t options);

  Code search_, match_here_;  // the same expression; the second matches at the first character only
  std::string pattern_;       // for errors
  Keep keep_;
};

// Translates `pattern` to PCRE2. Throws std::invalid_argument for syntax on which the two dialects disagree.
std::string translate_pattern(std::string_view pattern);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_REGEX_SPLIT_H_
