// A text set for perplexity, as token ids.
#ifndef SEEDNORM_LAB_LANGUAGE_EVAL_PERPLEXITY_SET_H_
#define SEEDNORM_LAB_LANGUAGE_EVAL_PERPLEXITY_SET_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lab/language/data/token_stream.h"
#include "lab/language/data/tokenizer/tokenizer.h"
#include "lab/language/eval/data_folder.h"

namespace seednorm::lab {

// Names of sets.def.
std::vector<std::string> known_sets();
// Whether the folder has a set of this name.
bool has_set(const DataFolder& folder, const std::string& name);

// All documents one after the other, each followed by the tokenizer's end of text and with nothing at the
// start, like OLMo's token files. Chunks of `chunk_tokens` are cut from the start; an incomplete last chunk
// is left out.
class PerplexitySet {
 public:
  // Opens the path of sets.def, or else NAME, in the folder: a folder of token shards (`seednorm data
  // tokenize`), OLMo's token files (.npy, which are ids without a header), or text (.jsonl, .json with
  // "text", .txt as one document; .gz and .zst). Of text only the part for `max_chunks` is read; 0: all.
  // Errors (UserError): the set does not exist or cannot be read; it has fewer tokens than a chunk, or tokens
  // of another tokenizer.
  PerplexitySet(const DataFolder& folder, const std::string& name, const Tokenizer& tokenizer,
                int64_t chunk_tokens, int64_t max_chunks);

  const std::string& name() const { return name_; }
  int64_t chunk_tokens() const { return chunk_tokens_; }
  int64_t num_chunks() const { return num_chunks_; }
  // out holds chunk_tokens.
  void read_chunk(int64_t chunk, std::span<int64_t> out) const;
  // A hash of everything that determines the tokens of the chunks.
  std::string fingerprint() const;

 private:
  std::string name_;
  int64_t chunk_tokens_, num_chunks_ = 0;
  std::vector<int32_t> ids_;           // for text
  std::optional<TokenStream> stream_;  // for sets that are tokenized already
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_PERPLEXITY_SET_H_
