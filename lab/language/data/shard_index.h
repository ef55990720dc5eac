// The index beside a shard: the starts of its documents, and a checksum for each block of it, so that a part
// of a large shard can be checked when it is read.
//
// Little-endian: "SNTIDX1\n"; uint64 tokens, documents, bytes in a block; uint64 first token of each
// document; uint32 CRC-32 of each block of the shard's bytes.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_SHARD_INDEX_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_SHARD_INDEX_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace seednorm::lab {

inline constexpr int64_t kShardBlockBytes = int64_t{1} << 20;

// CRC-32 as in gzip; `before` is the CRC of the preceding bytes.
uint32_t crc32_of(std::string_view bytes, uint32_t before = 0);

// A view into an index; the bytes must outlive it.
class ShardIndex {
 public:
  // Throws UserError that begins with `file` if the bytes are not an index of a shard of `shard_bytes` bytes.
  static ShardIndex parse(std::string_view bytes, int64_t shard_bytes, const std::string& file);

  int64_t num_tokens() const { return num_tokens_; }
  int64_t num_documents() const { return num_documents_; }
  int64_t block_bytes() const { return block_bytes_; }
  int64_t num_blocks() const { return num_blocks_; }
  int64_t document_begin(int64_t document) const;
  uint32_t block_crc32(int64_t block) const;

 private:
  const char* documents_ = nullptr;
  const char* blocks_ = nullptr;
  int64_t num_tokens_ = 0, num_documents_ = 0, block_bytes_ = 0, num_blocks_ = 0;
};

std::string write_shard_index(int64_t tokens, const std::vector<uint64_t>& document_begins,
                              const std::vector<uint32_t>& block_crc32);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_SHARD_INDEX_H_
