// A set of text whose perplexity is taken, as token ids.
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

// All documents, each ended by the tokenizer's end of text, one after the other, without anything at the
// begin: the token files of OLMo. Chunks of `chunk_tokens` are cut from the start, and what fills none is
// left out.
class PerplexitySet {
 public:
  // Where sets.def says, or NAME, in the folder: a folder of token shards (`seednorm data tokenize`), OLMo's
  // token files (.npy, which are ids without a header), or text (.jsonl, .json with "text", .txt as one
  // document; .gz and .zst). Of text only what `max_chunks` need is read; 0: all. Errors (UserError): no such
  // set; what cannot be read; fewer tokens than a chunk; another tokenizer's tokens.
  PerplexitySet(const DataFolder& folder, const std::string& name, const Tokenizer& tokenizer,
                int64_t chunk_tokens, int64_t max_chunks);

  const std::string& name() const { return name_; }
  int64_t chunk_tokens() const { return chunk_tokens_; }
  int64_t num_chunks() const { return num_chunks_; }
  // out holds chunk_tokens.
  void read_chunk(int64_t chunk, std::span<int64_t> out) const;
  // A hash of all that decides the chunks' tokens.
  std::string fingerprint() const;

 private:
  std::string name_;
  int64_t chunk_tokens_, num_chunks_ = 0;
  std::vector<int32_t> ids_;           // of text
  std::optional<TokenStream> stream_;  // of what is tokenized already
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_EVAL_PERPLEXITY_SET_H_
