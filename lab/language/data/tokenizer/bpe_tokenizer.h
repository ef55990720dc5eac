// The parts of byte-level BPE besides the vocabulary, in the order in which they are applied to a text.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BPE_TOKENIZER_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BPE_TOKENIZER_H_

#include <string>
#include <unordered_map>
#include <vector>

#include "lab/language/data/tokenizer/added_tokens.h"
#include "lab/language/data/tokenizer/bpe.h"
#include "lab/language/data/tokenizer/regex_split.h"

namespace seednorm::lab {

struct BpeTokenizer {
  AddedTokenFinder raw_tokens;         // 1. cut from the text as it is
  bool normalize_nfc = false;          // 2. each piece between them
  AddedTokenFinder normalized_tokens;  // 3. cut from the normalized pieces
  std::vector<RegexSplit> splits;      // 4. each piece of one is cut by the next
  bool add_prefix_space = false;       // 5. one in front of a piece that does not begin with one,
  size_t splits_before_prefix = 0;     //    after so many of the splits
  BpeModel model;                      // 6. each word
  std::unordered_map<std::string, int32_t> id_of;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZER_BPE_TOKENIZER_H_
