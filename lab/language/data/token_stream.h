// Token shards as one stream of ids, which is checked where it is read and never loaded as a whole.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_TOKEN_STREAM_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_TOKEN_STREAM_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lab/language/data/token_set.h"

namespace seednorm::lab {

class Tokenizer;

// The tokenizer that a folder of shards was made with, read from the file beside them. Models that are
// trained on the shards keep a copy of its json(), so that they do not depend on the folder later. Throws
// UserError if the file is missing or damaged, or is not the tokenizer that tokens.json names.
Tokenizer tokenizer_of_set(const std::string& folder);

class TokenStream {
 public:
  // The sets in `folders`, made by `seednorm data tokenize`, one after the other. Throws UserError if
  // a file is missing or truncated, or if they were made with different tokenizers.
  static TokenStream open(const std::vector<std::string>& folders);

  // Opens files of ids alone, such as OLMo's own, which have neither checksums nor documents.
  struct Raw {
    TokenType type;
    int32_t vocab_size;
    std::optional<int32_t> eos_id;
  };
  static TokenStream open_raw(const std::vector<std::string>& files, const Raw& raw);

  ~TokenStream();
  TokenStream(TokenStream&&) noexcept;
  TokenStream& operator=(TokenStream&&) noexcept;

  int64_t num_tokens() const { return num_tokens_; }
  int32_t vocab_size() const { return vocab_size_; }
  std::optional<int32_t> eos_id() const { return eos_id_; }
  // The contents of the folders' tokens.json; empty for raw files.
  const std::vector<TokenSetInfo>& sets() const { return sets_; }

  // Tokens begin .. begin + out.size() - 1, which must lie in the stream. A block that is read for the first
  // time is compared with its checksum. Throws UserError, which names the file, if the block was altered or
  // has an id outside of the vocabulary. Several threads may read at once.
  void read(int64_t begin, std::span<int64_t> out) const;
  void read(int64_t begin, std::span<int32_t> out) const;

  int64_t num_documents() const { return num_documents_; }
  struct Range {
    int64_t begin, end;  // the token that ends the document is inside
  };
  Range document(int64_t document) const;

  // Compares all blocks with their checksums now.
  void verify() const;
  // Throws UserError unless the shards were made with this tokenizer (raw files: unless it has all their
  // ids).
  void check_tokenizer(const Tokenizer& tokenizer) const;
  // A hash of everything that determines the tokens and their order, including the order of the files.
  // Streams with the same hash have the same data. For raw files it covers only names and sizes.
  std::string fingerprint() const;

 private:
  struct Shard;

  TokenStream();
  void add_shard(std::unique_ptr<Shard> shard);
  template <typename Id>
  void read_as(int64_t begin, std::span<Id> out) const;
  size_t shard_of(int64_t token) const;

  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<TokenSetInfo> sets_;
  int64_t num_tokens_ = 0, num_documents_ = 0;
  int32_t vocab_size_ = 0;
  std::optional<int32_t> eos_id_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_TOKEN_STREAM_H_
