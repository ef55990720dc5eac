#include "lab/language/data/shard_index.h"

#include <zlib.h>

#include <bit>
#include <cstring>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

static_assert(std::endian::native == std::endian::little,
              "token shards are little-endian and read as they are");

constexpr std::string_view kMagic = "SNTIDX1\n";
constexpr size_t kHeaderBytes = 32;

template <typename T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

uint32_t crc32_of(std::string_view bytes, uint32_t before) {
  return static_cast<uint32_t>(
      crc32_z(before, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

ShardIndex ShardIndex::parse(std::string_view bytes, int64_t shard_bytes, const std::string& file) {
  const auto torn = [&] {
    return UserError(file + ": is torn or no index of its shard; tokenize the text again");
  };
  if (bytes.size() < kHeaderBytes || !bytes.starts_with(kMagic)) throw torn();
  const auto tokens = load<uint64_t>(bytes.data() + 8), documents = load<uint64_t>(bytes.data() + 16),
             block_bytes = load<uint64_t>(bytes.data() + 24);
  const uint64_t room = (bytes.size() - kHeaderBytes) / sizeof(uint64_t);
  if (documents > room || tokens > static_cast<uint64_t>(shard_bytes) || block_bytes == 0 ||
      block_bytes > uint64_t{1} << 40) {
    throw torn();
  }
  const uint64_t blocks = (static_cast<uint64_t>(shard_bytes) + block_bytes - 1) / block_bytes;
  if (bytes.size() != kHeaderBytes + documents * sizeof(uint64_t) + blocks * sizeof(uint32_t)) throw torn();
  ShardIndex index;
  index.documents_ = bytes.data() + kHeaderBytes;
  index.blocks_ = index.documents_ + documents * sizeof(uint64_t);
  index.num_tokens_ = static_cast<int64_t>(tokens);
  index.num_documents_ = static_cast<int64_t>(documents);
  index.block_bytes_ = static_cast<int64_t>(block_bytes);
  index.num_blocks_ = static_cast<int64_t>(blocks);
  return index;
}

int64_t ShardIndex::document_begin(int64_t document) const {
  return load<int64_t>(documents_ + document * static_cast<int64_t>(sizeof(uint64_t)));
}

uint32_t ShardIndex::block_crc32(int64_t block) const {
  return load<uint32_t>(blocks_ + block * static_cast<int64_t>(sizeof(uint32_t)));
}

std::string write_shard_index(int64_t tokens, const std::vector<uint64_t>& document_begins,
                              const std::vector<uint32_t>& block_crc32) {
  std::string out(kMagic);
  append(out, static_cast<uint64_t>(tokens));
  append(out, static_cast<uint64_t>(document_begins.size()));
  append(out, static_cast<uint64_t>(kShardBlockBytes));
  for (const uint64_t begin : document_begins) append(out, begin);
  for (const uint32_t crc : block_crc32) append(out, crc);
  return out;
}

}  // namespace seednorm::lab
