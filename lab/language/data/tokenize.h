// Converts text files to token shards.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZE_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lab/language/data/token_set.h"
#include "lab/language/data/tokenizer/tokenizer.h"

namespace seednorm::lab {

struct TokenizeOptions {
  std::vector<std::string> inputs;          // files and patterns
  std::string out;                          // a new folder
  std::string field = "text";               // of JSON Lines
  int workers = 1;                          // threads
  int64_t shard_tokens = int64_t{1} << 28;  // a shard ends with the document that reaches it
};

struct TokenizeProgress {
  uint64_t bytes_done = 0, bytes_total = 0;  // of the files as they are on the disk
  int64_t documents = 0, tokens = 0, text_bytes = 0;
};

struct TokenizeResult {
  TokenSetInfo info;
  int64_t empty_documents = 0;    // without any text, which are left out
  int64_t altered_documents = 0;  // with bytes that are not UTF-8, which became U+FFFD
};

// Writes shards, their tokens.json, and the tokenizer. The output depends only on the texts and the
// tokenizer, not on the workers. The folder appears when it is complete; if anything fails, or on an
// interrupt, nothing remains. `report` is called by one thread at a time.
TokenizeResult tokenize(const TokenizeOptions& options, const Tokenizer& tokenizer,
                        const std::function<void(const TokenizeProgress&)>& report);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKENIZE_H_
