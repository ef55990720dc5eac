// Writes token shards, their indexes, and tokens.json, which describes them.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_SHARD_WRITER_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_SHARD_WRITER_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "lab/base/file.h"
#include "lab/language/data/token_set.h"
#include "lab/language/data/tokenizer/tokenizer.h"

namespace seednorm::lab {

class ShardWriter {
 public:
  // Writes into `folder`, which must exist and be empty. A shard ends with the document that brings it to
  // `max_tokens`. Throws UserError if the tokenizer has no token that ends documents.
  ShardWriter(std::filesystem::path folder, const Tokenizer& tokenizer, int64_t max_tokens);
  ~ShardWriter();

  // Writes one document and marks its end. `source` is the file it comes from; `text_bytes` counts its UTF-8.
  void add(std::span<const int32_t> ids, const std::string& source, size_t text_bytes);

  // Completes the last shard and writes tokens.json.
  TokenSetInfo finish();

  int64_t tokens() const { return info_.tokens; }
  int64_t documents() const { return info_.documents; }
  int64_t text_bytes() const { return info_.text_bytes; }

 private:
  void open();
  void close();
  void append(std::string_view bytes);

  std::filesystem::path folder_;
  int64_t max_tokens_;
  int32_t eos_ = 0;
  TokenSetInfo info_;
  std::vector<uint64_t> counts_;  // of each id

  std::unique_ptr<OutputFile> file_;  // the open shard; the rest describes it
  TokenSetInfo::Shard shard_;
  std::vector<uint64_t> document_begins_;
  std::vector<uint32_t> block_crc32_;
  std::string block_, packed_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_SHARD_WRITER_H_
