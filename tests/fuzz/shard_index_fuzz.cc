// Any bytes are the index of a shard of so many bytes, which the first four say, or an error in one line.
#include <cstring>

#include "lab/language/data/shard_index.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seednorm::lab;
  uint32_t shard_bytes = 0;
  if (size < sizeof shard_bytes) return 0;
  std::memcpy(&shard_bytes, data, sizeof shard_bytes);
  return or_one_line([&] {
    // A copy of its own, so that a byte read beyond its end is noticed.
    const std::string bytes(bytes_of(data, size).substr(sizeof shard_bytes));
    const ShardIndex index = ShardIndex::parse(bytes, shard_bytes, "file");
    uint64_t sum = 0;
    for (int64_t i = 0; i < index.num_documents(); ++i) sum += static_cast<uint64_t>(index.document_begin(i));
    for (int64_t i = 0; i < index.num_blocks(); ++i) sum += index.block_crc32(i);
    require(sum != UINT64_MAX);  // everything is read
  });
}
